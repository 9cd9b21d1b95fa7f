"""Requests over HTTP: every path of /openapi.json is asked, and every answer held against its schema; wrong requests;
two instances of which each sends clients to the other; the command that asks; ten thousand idle clients."""

import http.client
import itertools
import json
import os
import resource
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import jsonschema

from harness import BINARY, EXIT_FAILED, EXIT_OK, EXIT_UNAVAILABLE, EXIT_USAGE, Case, click, free_port, main, until

USERS, ITEMS, IDLE = 20, 30, 10000
EXCHANGE_S = 30  # service/http.h


def ask(service, method, target, body=None, headers=None):
    """(status, headers, text) of one request, without following redirects."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    try:
        connection.request(method, target, body, headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


class Api:
    """The description that a service gives of itself, and answers held against it."""

    def __init__(self, test, service):
        self.test, self.service = test, service
        status, _, text = ask(service, "GET", "/openapi.json")
        test.assertEqual(status, 200)
        self.document = json.loads(text)
        test.assertTrue(self.document["openapi"].startswith("3.1"))
        self.asked = set()

    def resolve(self, node):
        while "$ref" in node:
            target = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def operation(self, method, path):
        self.asked.add((method, path))
        return self.document["paths"][path][method.lower()]

    def check(self, method, path, status, headers, text):
        """The answer is one that the operation's description allows. Returns it."""
        responses = self.operation(method, path)["responses"]
        self.test.assertTrue(str(status) in responses or "default" in responses, f"{method} {path}: {status}: {text}")
        response = self.resolve(responses.get(str(status)) or responses["default"])
        for name, header in response.get("headers", {}).items():
            self.test.assertTrue(not header.get("required") or name.lower() in headers, name)
        kind = headers["content-type"].split(";")[0]
        self.test.assertIn(kind, response["content"], f"{method} {path}: {status}")
        if not kind.endswith("json"):
            return text
        value = json.loads(text)
        schema = {**response["content"][kind]["schema"], "components": self.document["components"]}
        jsonschema.validate(value, schema, format_checker=jsonschema.FormatChecker())
        return value

    def ask(self, method, path, query="", body=None, expect=200, **values):
        target = path.format(**{name: urllib.parse.quote(value, safe="") for name, value in values.items()}) + query
        data = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        status, answered, text = ask(self.service, method, target, data, headers)
        self.test.assertEqual(status, expect, f"{method} {target}: {text}")
        return self.check(method, path, status, answered, text)


def make_certificate(folder, name):
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={name}",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True,
                   capture_output=True)
    return certificate, key


class Http(Case):
    def test_tls(self):
        app = self.app()
        app.announce(3)
        certificate, key = make_certificate(app.folder, "own")
        _, other_key = make_certificate(app.folder, "other")
        service = app.service()
        plain = service.overrides
        for wrong, word in [(other_key, "cannot be used together"), (app.folder / "none", "No such file"),
                            (app.config_path, "no PEM file")]:
            service.overrides = [*plain, f"http.certificate={certificate}", f"http.key={wrong}"]
            service.start()
            self.assertNotEqual(service.wait(), EXIT_OK)
            self.assertIn(word, service.last_line())
        service.overrides = [*plain, f"http.certificate={certificate}", f"http.key={key}"]
        service.start()
        trusted = ssl.create_default_context(cafile=certificate)

        def get(path, context=trusted):
            with urllib.request.urlopen(f"https://127.0.0.1:{service.port}{path}", context=context, timeout=5) as answer:
                return answer.status, answer.read().decode()

        def is_ready():
            try:
                return get("/readyz")[0] == 200
            except urllib.error.URLError:
                return False

        until(is_ready, "ready over TLS")
        app.send("events", "u", click("u", "item-1"))
        app.settle()
        self.assertEqual(json.loads(get("/v1/users/u")[1])["events"], 1)
        with self.assertRaises(urllib.error.URLError):
            get("/livez", ssl.create_default_context())  # nobody else vouches for it
        with self.assertRaises(OSError):
            ask(service, "GET", "/livez")  # plain HTTP
        asked = app.command("recommend", "--user", "u", "-X", f"http.port={service.port}",
                            "-X", f"http.certificate={certificate}", "-X", f"http.key={key}")
        self.assertEqual(asked.returncode, EXIT_OK, asked.stderr)

    def test_closed_descriptors_and_an_open_port(self):
        app = self.app({"http.bind": "0.0.0.0"})
        app.announce(3)
        service = app.service().start_ready()
        self.assertIn("http.open_to_all", service.log())
        service.kill()
        arguments = [BINARY, "run", "-c", str(app.config_path)]
        for override in service.overrides:
            arguments += ["-X", override]
        closed = subprocess.Popen(["bash", "-c", 'exec 0<&- 1>&- 2>&-; exec "$@"', "bash", *arguments])
        try:
            until(lambda: service.get("/readyz")[0] == 200, "ready without standard files")
            self.assertEqual([os.readlink(f"/proc/{closed.pid}/fd/{fd}") for fd in range(3)], ["/dev/null"] * 3)
        finally:
            closed.terminate()
            self.assertEqual(closed.wait(30), EXIT_OK)

    def test_the_heap_gets_huge_pages(self):
        if "[madvise]" not in Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text():
            self.skipTest("the system gives huge pages to all processes, or to none")
        service = self.app().service().start_ready()
        process = Path(f"/proc/{service.process.pid}")
        heap = (process / "smaps").read_text().split("[heap]")[1].split("VmFlags:")[1].split("\n")[0]
        self.assertIn("hg", heap.split())
        self.assertEqual((process / "comm").read_text().strip(), Path(BINARY).name)

    def test_a_program_with_capabilities_starts_once(self):
        # glibc drops the variable for it, so it would start itself again and again.
        if os.geteuid() != 0:
            self.skipTest("only root may give a program capabilities")
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            program = shutil.copy(BINARY, folder)
            os.setxattr(program, "security.capability", struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0))
            process = subprocess.Popen([program, "bench", "fleet"], stdout=subprocess.DEVNULL, user=65534,
                                       env={"PATH": os.environ["PATH"]})
            try:
                stat = Path(f"/proc/{process.pid}/stat")
                until(lambda: int(stat.read_text().rsplit(")", 1)[1].split()[11]) >= 20, "it is at work")
                self.assertNotIn(b"GLIBC_TUNABLES", Path(f"/proc/{process.pid}/environ").read_bytes())
            finally:
                process.kill()
                process.wait()

    def shop(self, settings=None, **more):
        app = self.app(settings)
        app.announce(ITEMS)
        service = app.service(**more).start_ready()
        for user in range(USERS):
            for n in range(3):
                app.send("events", f"user-{user}", click(f"user-{user}", f"item-{(user + n) % ITEMS}"))
        app.settle()
        return app, service

    def test_every_path_of_the_description(self):
        app, service = self.shop()
        api = Api(self, service)
        lists = "/v1/users/{id}/recommendations"
        entry = api.ask("GET", lists, "?k=4&context=title&exclude_items=item-9&exclude_items=item-8&diversity=0.3",
                        id="user-1")
        ids = [item["item_id"] for item in entry["items"]]
        self.assertEqual(len(ids), 4)
        self.assertFalse(set(ids) & {"item-1", "item-2", "item-3", "item-9", "item-8"})
        for item in entry["items"]:
            self.assertEqual(item["title"], f"Title of {item['item_id']}")
            self.assertAlmostEqual(sum(reason["score"] for reason in item["reasons"]), item["score"], delta=1e-4)
        # A part that lowers the score does not say that the item is popular, liked or to somebody's taste.
        lowers = {"TASTE": "suits your taste less", "POPULAR": "less popular now", "QUALITY": "less liked in general"}
        told = [reason for item in api.ask("GET", lists, "?k=1000", id="user-1")["items"] for reason in item["reasons"]
                if reason["kind"] in lowers]
        self.assertTrue(any(reason["score"] < 0 for reason in told), told)
        for reason in told:
            self.assertEqual(reason["text"] == lowers[reason["kind"]], reason["score"] < 0, reason)
        self.assertNotIn("reasons", api.ask("GET", lists, "?explain=false", id="user-1")["items"][0])
        self.assertEqual(len(api.ask("GET", lists, "?k=1000", id="who/is this?")["items"]), ITEMS)
        empty = api.ask("GET", lists, "?include_categories=none", id="user-1")
        self.assertEqual(empty["items"], [])
        self.assertIn("filter", empty["note"])
        posted = api.ask("POST", "/v1/recommendations", body={"user_id": "user-1", "k": 4, "request_id": "r1"})
        self.assertEqual((posted["request_id"], len(posted["items"])), ("r1", 4))
        api.ask("POST", "/v1/recommendations", body={"context": "title"}, expect=400)
        similar = api.ask("GET", "/v1/items/{id}/similar", "?k=3", id="item-5")
        self.assertNotIn("item-5", [item["item_id"] for item in similar["items"]])
        user = api.ask("GET", "/v1/users/{id}", id="user-1")
        self.assertEqual((user["events"], user["recent"][0]["title"]), (3, "Title of item-3"))
        api.ask("GET", "/v1/users/{id}", expect=404, id="nobody")
        self.check_items(api)
        for path in ("/livez", "/readyz", "/metrics", "/openapi.json"):
            api.ask("GET", path)
        status, _, text = ask(service, "DELETE", "/v1/users/user-1")
        self.assertEqual((status, "X-Freshet: 1" in text), (403, True))
        status, headers, text = ask(service, "DELETE", "/v1/users/user-1", headers={"X-Freshet": "1"})
        api.check("DELETE", "/v1/users/{id}", status, headers, text)
        self.check_refusals(api)
        self.assertEqual(api.asked, {(method.upper(), path) for path, operations in api.document["paths"].items()
                                     for method in operations})
        names = {self.asked_name(api, p) for p in api.document["paths"][lists]["get"]["parameters"]}
        self.assertEqual(names - {"id"}, set(api.document["components"]["schemas"]["Request"]["properties"]) - {"user_id", "kind"})
        self.check_command(app)

    def check_items(self, api):
        """Lists that need no user, and what is known about an item."""
        for path in ("/v1/items/{id}/similar", "/v1/items/{id}"):
            self.assertIn("'nothing'", api.ask("GET", path, expect=404, id="nothing")["detail"])
        entry = api.ask("GET", "/v1/items/{id}", id="item-5")
        self.assertEqual((entry["title"], entry["state"], entry["chosen"] > 0), ("Title of item-5", "listed", True))
        parts = {weight["part"] for weight in api.ask("GET", "/v1/weights")["weights"]}
        self.assertGreaterEqual(parts, {"event", "dwell_s", "quantity", "score of a known user"})
        popular = api.ask("GET", "/v1/items/popular", "?k=1000")
        self.assertEqual(len(popular["items"]), USERS + 2)  # those that were chosen
        self.assertEqual({r["kind"] for e in popular["items"] for r in e["reasons"]}, {"POPULAR"})
        newest = api.ask("GET", "/v1/items/newest", "?category=none")
        self.assertEqual(newest["items"], [])
        api.ask("GET", "/v1/items/newest", "?context=red", expect=400)
        similar = {"kind": "SIMILAR", "context_items": ["item-5"], "k": 2}
        answers = api.ask("POST", "/v1/batch", body={"requests": [{"user_id": "user-1", "k": 3}, similar,
                                                                  {**similar, "context_items": ["nothing"]}]})["answers"]
        self.assertEqual([answer["status"] for answer in answers], [200, 200, 404])
        self.assertEqual([len(answer["list"]["items"]) for answer in answers[:2]], [3, 2])
        api.ask("POST", "/v1/batch", body={"requests": [similar] * 101}, expect=400)

    def asked_name(self, api, parameter):
        return api.resolve(parameter)["name"]

    def check_refusals(self, api):
        lists = "/v1/users/{id}/recommendations"
        for query in ("?k=0", "?k=1001", "?k=x", "?nonsense=1", "?diversity=2", "?context=%ff"):
            self.assertIn("detail", api.ask("GET", lists, query, expect=400, id="user-1"))
        api.ask("POST", "/v1/recommendations", body={"k": "many"}, expect=400)
        api.ask("POST", "/v1/recommendations", body={"context": "x" * (1 << 20)}, expect=413)
        for target, status in (("/v1/users/", 404), ("/../etc/passwd", 404), ("/v1/users/%00", 400), ("/v1/users/%", 400)):
            self.assertEqual(ask(api.service, "GET", target)[0], status, target)

    def check_command(self, app):
        port = f"http.port={app.services[0].port}"
        told = app.command("recommend", "--user", "user-2", "--context", "title", "-k", "2", "-X", port)
        self.assertEqual(told.returncode, EXIT_OK, told.stderr)
        self.assertIn("  1. Title of item-", told.stdout)
        self.assertIn("matches 'title'", told.stdout)
        made_up = app.command("recommend", "--user", "user-2", "--context", "xqzzv blorp", "-k", "2", "-X", port)
        self.assertIn("note: context is not used: no item's text has a word of it", made_up.stdout)
        like = app.command("recommend", "--like", "item-5", "-k", "2", "-X", port)
        self.assertEqual((like.returncode, "'Title of item-5'" in like.stdout), (EXIT_OK, True), like.stderr)
        self.assertNotIn("your taste", like.stdout)
        popular = app.command("recommend", "--popular", "-k", "2", "-X", port)
        self.assertEqual((popular.returncode, "popular now" in popular.stdout), (EXIT_OK, True), popular.stderr)
        weights = app.command("explain-weights", "-X", port)
        self.assertEqual((weights.returncode, "weight of each part" in weights.stdout), (EXIT_OK, True), weights.stderr)
        unheard = app.command("explain-weights", "-X", f"http.port={free_port()}")
        self.assertEqual((unheard.returncode, "freshet run" in unheard.stderr), (EXIT_UNAVAILABLE, True), unheard.stderr)
        both = app.command("recommend", "--popular", "--newest", "-X", port)
        self.assertEqual((both.returncode, "only one of" in both.stderr), (EXIT_USAGE, True), both.stderr)
        refused = app.command("recommend", "--user", "user-2", "-k", "0", "-X", port)
        self.assertEqual((refused.returncode, "from 1 to 1000" in refused.stderr), (EXIT_FAILED, True), refused.stderr)
        alone = app.command("recommend", "--user", "user-2", "-X", f"http.port={free_port()}")
        self.assertEqual((alone.returncode, "freshet run" in alone.stderr), (EXIT_UNAVAILABLE, True), alone.stderr)

    def test_two_instances_send_clients_to_each_other(self):
        app = self.app()
        app.announce(ITEMS)
        services = []
        for name in ("a", "b"):
            service = app.service(name, instance_id=name)
            service.overrides.append(f"http.advertise=http://127.0.0.1:{service.port}")
            services.append(service.start())
        for service in services:
            service.await_ready()
        until(lambda: all(s.metric("freshet_partitions") == 2 for s in services), "each holds two partitions")
        apis = [Api(self, service) for service in services]
        homes = {}
        for n in range(USERS):
            target = f"/v1/users/user%20{n}/recommendations?k=2&context=a%20b"
            answers = [self.settled(api, target) for api in apis]
            statuses = sorted(status for status, _, _ in answers)
            self.assertEqual(statuses, [200, 307])
            home = 0 if answers[0][0] == 200 else 1
            homes.setdefault(home, []).append(n)
            location = answers[1 - home][1]["location"]
            self.assertEqual(location, f"http://127.0.0.1:{services[home].port}{target}")
        self.assertEqual(sorted(homes), [0, 1])
        user = f"user {homes[0][0]}"
        told = app.command("recommend", "--user", user, "-k", "1", "-X", f"http.port={services[1].port}")
        self.assertEqual(told.returncode, EXIT_OK, told.stderr)

    def settled(self, api, target):
        """The answer once the instance knows where the other one is."""
        path = "/v1/users/{id}/recommendations"

        def known():
            answer = ask(api.service, "GET", target)
            api.check("GET", path, *answer)
            return answer if answer[0] != 503 else None

        return until(known, f"{target} is answered or sent elsewhere")

    def test_idle_and_slow_clients_hurt_nobody(self):
        files = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files[1] != resource.RLIM_INFINITY and files[1] < IDLE + 2000:
            self.skipTest("this machine allows too few open files")
        resource.setrlimit(resource.RLIMIT_NOFILE, (files[1], files[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, files)
        app, service = self.shop()
        drip = threading.Thread(target=self.drip, args=(service, cut_off := []))
        drip.start()
        self.addCleanup(drip.join)
        before = service.rss_mb()
        idle = []
        self.addCleanup(lambda: [client.close() for client in idle])
        for n in range(IDLE):
            client = socket.create_connection(("127.0.0.1", service.port), timeout=10)
            idle.append(client)
            if n % 3 == 1:
                client.send(b"GET /v1/users/user-1 HTTP/1.1\r\nX: ")  # half a request
        took = []
        for n in range(20):
            started = time.monotonic()
            self.assertEqual(ask(service, "GET", f"/v1/users/user-{n}/recommendations")[0], 200)
            took.append(time.monotonic() - started)
        self.assertGreater(service.metric("freshet_http_connections"), IDLE * 0.9)
        self.assertLess(sorted(took)[10], 0.5)
        self.assertLess(service.rss_mb() - before, 200)
        app.send("events", "user-1", click("user-1", "item-20"))
        app.settle()
        until(lambda: service.metric("freshet_http_connections") < 100, "idle clients have been sent away")
        drip.join()  # silence does not end this one
        self.assertTrue(EXCHANGE_S - 1 < cut_off[0] < EXCHANGE_S + 15, cut_off)

    def drip(self, service, cut_off):
        """Sends a request a byte at a time, never silent for long, until it is cut off; after how many seconds."""
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as client:
            started, client_bytes = time.monotonic(), itertools.cycle(b"GET /v1/users/user-1/recommendations?context=" + b"x" * 100)
            try:
                while time.monotonic() < started + EXCHANGE_S * 3:
                    client.send(bytes([next(client_bytes)]))
                    client.settimeout(0.5)
                    try:
                        if not client.recv(1):
                            break
                    except TimeoutError:
                        pass
            except OSError:
                pass
            cut_off.append(time.monotonic() - started)

    def test_tokens(self):
        folder = self.app(create=False).folder
        tokens = folder / "tokens"
        tokens.write_text("# of the shop\nfirst\nsecond\n")
        app, service = self.app({"http.token_file": tokens}), None
        app.announce(ITEMS)
        service = app.service().start_ready()
        target = "/v1/users/user-1/recommendations"
        self.assertEqual(ask(service, "GET", target)[0], 401)
        for token, status in (("first", 200), ("second", 200), ("third", 401)):
            self.assertEqual(ask(service, "GET", target, headers={"Authorization": f"Bearer {token}"})[0], status)
        tokens.write_text("third\n")
        until(lambda: ask(service, "GET", target, headers={"Authorization": "Bearer third"})[0] == 200, "read again")

        def is_refused():
            """429: what was asked above has used up the wrong tokens that a client may try in a second."""
            status = ask(service, "GET", target, headers={"Authorization": "Bearer first"})[0]
            self.assertIn(status, (401, 429))
            return status == 401

        until(is_refused, "a token that is no longer in the file is refused")
        told = app.command("recommend", "--user", "user-1", "-X", f"http.port={service.port}")
        self.assertEqual(told.returncode, EXIT_OK, told.stderr)


if __name__ == "__main__":
    main()
