"""A real broker with SASL_SSL, client certificates and ACLs: what works, and how each mistake names itself."""

import os
import subprocess
import time
from pathlib import Path
from tempfile import mkdtemp

from confluent_kafka.admin import (AclBinding, AclOperation, AclPermissionType, AdminClient, ResourcePatternType,
                                   ResourceType)
from harness import ROOT, Case, click, free_port, main, until

FAST_S = 20


class Secure(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.port = free_port()
        cls.data = Path(mkdtemp(prefix="freshet-secure-"))
        cls.environment = {**os.environ, "FRESHET_BROKER_PORT": str(cls.port), "FRESHET_BROKER_DATA": str(cls.data)}
        cls.kafka("start", "--secure")
        cls.secure = cls.data / "secure"
        cls.password = (cls.secure / "password").read_text().strip()

    @classmethod
    def tearDownClass(cls):
        cls.kafka("stop")
        super().tearDownClass()

    @classmethod
    def kafka(cls, *arguments):
        subprocess.run([ROOT / "scripts" / "kafka", *arguments], env=cls.environment, check=True, timeout=120,
                       stdout=subprocess.DEVNULL)

    def secured(self, **more):
        """An app whose tests use the plain port, where everything is allowed, while its service is user freshet."""
        app = self.app(bootstrap=f"127.0.0.1:{self.port}")
        app.write_config({"kafka.bootstrap.servers": f"127.0.0.1:{self.port + 2}", "kafka.security.protocol": "SASL_SSL",
                          "kafka.sasl.mechanism": "PLAIN", "kafka.sasl.username": "freshet",
                          "kafka.sasl.password": self.password, "kafka.ssl.ca.location": self.secure / "ca.pem",
                          "http.port": free_port(), **{key.replace("__", "."): value for key, value in more.items()}})
        return app

    def grant(self, app, without=None):
        admin = AdminClient({"bootstrap.servers": app.bootstrap})
        rights = [(ResourceType.TOPIC, name, ResourcePatternType.LITERAL) for key, name in app.topics.items()
                  if key != without]
        rights += [(ResourceType.GROUP, app.id, ResourcePatternType.LITERAL),
                   (ResourceType.TRANSACTIONAL_ID, app.id, ResourcePatternType.PREFIXED)]
        bindings = [AclBinding(kind, name, pattern, "User:freshet", "*", AclOperation.ALL, AclPermissionType.ALLOW)
                    for kind, name, pattern in rights]
        for result in admin.create_acls(bindings).values():
            result.result(30)

    def doctor(self, app, *more):
        started = time.monotonic()
        done = app.command("doctor", *more)
        self.assertLess(time.monotonic() - started, FAST_S)
        return done

    def test_login_and_certificates_work(self):
        app = self.secured()
        self.grant(app)
        until(lambda: "access is denied" not in self.doctor(app).stdout, "the rights are known to the broker", FAST_S)
        done = self.doctor(app)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("a run can start", done.stdout)
        self.assertIn("topics may be written to", done.stdout)
        self.assertIn("no record is from the future", done.stdout)
        self.assertEqual(app.read("recommendations", committed=False), [])  # a trial leaves nothing
        app.announce(5)
        service = app.service().start_ready()
        app.send("events", "u", click("u", "item-1"))
        app.settle()
        self.assertEqual(app.users()["u"]["events"], 1)
        self.assertEqual(service.stop(), 0)
        certificates = self.doctor(app, "-X", f"kafka.bootstrap.servers=127.0.0.1:{self.port + 3}",
                                   "-X", "kafka.security.protocol=ssl",
                                   "-X", f"kafka.ssl.certificate.location={self.secure / 'client.pem'}",
                                   "-X", f"kafka.ssl.key.location={self.secure / 'client.key'}")
        self.assertEqual(certificates.returncode, 0, certificates.stdout)
        scram = self.doctor(app, "-X", "kafka.sasl.mechanism=SCRAM-SHA-512")
        self.assertTrue(scram.returncode == 0 or "CVE-2024-56128" in scram.stdout, scram.stdout)

    def test_a_right_to_write_that_is_missing(self):
        app = self.secured()
        self.grant(app, without="dead_letters")
        admin = AdminClient({"bootstrap.servers": app.bootstrap})
        reads = [AclBinding(ResourceType.TOPIC, app.topics["dead_letters"], ResourcePatternType.LITERAL, "User:freshet",
                            "*", operation, AclPermissionType.ALLOW)
                 for operation in (AclOperation.READ, AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS)]
        for result in admin.create_acls(reads).values():
            result.result(30)
        done = until(lambda: self.has(self.doctor(app), "grant Write on it"), "the rights are known to the broker")
        self.assertEqual(done.returncode, 1, done.stdout)
        denied = [line for line in done.stdout.splitlines() if "grant Write on it" in line]
        self.assertEqual(len(denied), 1, done.stdout)
        self.assertIn(app.topics["dead_letters"], denied[0])
        self.assertEqual(app.read("dead_letters", committed=False), [])

    @staticmethod
    def has(done, text):
        """The finished command, once its output has the text and nothing else is denied."""
        return done if text in done.stdout and done.stdout.count("access is denied") == 1 else None

    def test_an_expired_certificate(self):
        port, data = free_port(4), Path(mkdtemp(prefix="freshet-expired-"))
        environment = {**os.environ, "FRESHET_BROKER_PORT": str(port), "FRESHET_BROKER_DATA": str(data),
                       "FRESHET_BROKER_DAYS": "-1"}
        script = ROOT / "scripts" / "kafka"
        self.addCleanup(subprocess.run, [script, "stop"], env=environment, timeout=60, capture_output=True)
        subprocess.run([script, "start", "--secure"], env=environment, check=True, timeout=120, stdout=subprocess.DEVNULL)
        app = self.secured(**{"kafka.bootstrap.servers": f"127.0.0.1:{port + 2}",
                              "kafka.ssl.ca.location": data / "secure" / "ca.pem"})
        done = self.doctor(app)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("the broker's certificate has expired", done.stdout)
        service = app.service()
        service.overrides = [*service.overrides, "log.level=warn"]
        service.start()
        until(lambda: "has expired" in service.log(), "the reason in the log", FAST_S)
        service.kill()

    def test_mistakes_name_themselves(self):
        app = self.secured()
        self.grant(app, without="items")
        stranger = self.data / "stranger.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=stranger",
                        "-keyout", self.data / "stranger.key", "-out", stranger], check=True, capture_output=True)
        for setting, word in [("kafka.sasl.password=wrong", "Authentication failed"),
                              (f"kafka.ssl.ca.location={stranger}", "signed by a CA that is not known here"),
                              (f"kafka.bootstrap.servers=localhost:{self.port + 2}", "another host name"),
                              ("kafka.security.protocol=plaintext", "security.protocol"),
                              (f"kafka.bootstrap.servers=127.0.0.1:{self.port}", "TLS"),
                              ("kafka.bootstrap.servers=127.0.0.1:1,nowhere.invalid:1", "Connection refused"),
                              ("log.level=warn", f"topic {app.topics['items']}: access is denied")]:
            done = self.doctor(app, "-X", setting)
            self.assertEqual(done.returncode, 1, f"{setting}: {done.stdout}")
            self.assertIn(word, done.stdout, setting)
        # A run says the same at log level warn.
        for setting, word in [("kafka.sasl.password=wrong", "Authentication failed"),
                              (f"kafka.ssl.ca.location={stranger}", "signed by a CA that is not known here"),
                              ("log.level=warn", app.topics["items"])]:
            service = app.service()
            service.overrides = [*service.overrides, setting, "log.level=warn"]
            service.start()
            until(lambda: word in service.log(), f"{word} in the log", FAST_S)
            service.kill()


if __name__ == "__main__":
    main()
