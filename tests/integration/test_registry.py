"""Schema registry: a real one with producers of Confluent's library, and one that answers badly."""

import http.server
import json
import os
import struct
import subprocess
import threading
import time
import uuid

from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient, record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from harness import BINARY, BOOTSTRAP, EXIT_FAILED, EXIT_OK, EXIT_UNAVAILABLE, ROOT, SCHEMAS, Case, click, free_port, \
    item, main, now_ms, schema_text, until
from harness import Schema as Writer


def framed(schema_id, body):
    return b"\0" + struct.pack(">i", schema_id) + body


def newer_click():
    """Our schema with a field that we do not know."""
    schema = json.loads(schema_text("Click"))
    schema["fields"].append({"name": "campaign", "type": ["null", "string"], "default": None})
    return schema


def fastavro_body(schema):
    return Writer(json.dumps(schema)).body


class FakeRegistry:
    """Answers as `mode` says: right, error, silent, garbage. Counts the questions for each id."""

    def __init__(self, test, schemas):
        self.mode, self.schemas, self.asked, self.paths = "right", schemas, {}, []
        self.references = []
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *arguments):
                pass

            def answer(self, status, text):
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def do_GET(self):
                registry.paths.append((self.path, self.headers.get("Authorization")))
                name = self.path.rsplit("/", 1)[1]
                schema_id = name if "/guids/" in self.path else int(name)
                registry.asked[schema_id] = registry.asked.get(schema_id, 0) + 1
                if registry.mode == "error":
                    self.answer(500, '{"error_code": 50001, "message": "the store is away"}')
                elif registry.mode == "proxy":
                    self.answer(404, "<html>no such page</html>")
                elif registry.mode == "silent":
                    time.sleep(3)
                elif registry.mode == "garbage":
                    self.answer(200, "<html>please log in</html>")
                elif schema_id in registry.schemas:
                    self.answer(200, json.dumps({"schema": registry.schemas[schema_id],
                                                 "references": registry.references}))
                else:
                    self.answer(404, '{"error_code": 40403, "message": "Schema not found"}')

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        test.addCleanup(self.server.server_close)
        test.addCleanup(self.server.shutdown)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


def event(user, n):
    return {"event_id": str(uuid.uuid4()), "user_id": user, "item_id": f"item-{n % 10}", "occurred_at": now_ms(),
            "dwell_s": 1.0}


class Registry(Case):
    def start_registry(self):
        environment = {**os.environ, "FRESHET_REGISTRY_PORT": str(free_port())}
        script = str(ROOT / "scripts" / "registry")
        self.addCleanup(subprocess.run, [script, "stop"], env=environment, timeout=30)
        return subprocess.run([script, "start"], env=environment, capture_output=True, text=True, check=True,
                              timeout=120).stdout.strip()

    def test_schemas_are_registered_and_used(self):
        url = self.start_registry()
        app = self.app({"registry.url": f"http://127.0.0.1:1,{url}", "registry.framing": "confluent"})
        app.announce(10)
        client = SchemaRegistryClient({"url": url})
        topic, subject = app.topics["events"], f"{app.topics['events']}-value"

        def topics(*arguments, code=EXIT_OK, says=""):
            ended = app.command("topics", *arguments)
            self.assertEqual(ended.returncode, code, ended.stdout + ended.stderr)
            self.assertIn(says, ended.stdout + ended.stderr)

        topics("check", code=EXIT_FAILED, says=f"subject {subject}: nothing is registered")
        service = app.service().start()
        self.assertEqual(service.wait(), EXIT_UNAVAILABLE)  # it could not say of which schema its lists are
        self.assertIn("topics create --register", service.log())
        topics("create", "--register", says=f"registered {subject}: id")
        topics("create", "--register")  # changes nothing
        topics("check", says="ours is version 1 of 1")
        service.start_ready()
        producer = Producer({"bootstrap.servers": BOOTSTRAP, "partitioner": "murmur2_random"})

        def send(user, serializer, value):
            producer.produce(topic, key=user, value=serializer(value, SerializationContext(topic, MessageField.VALUE)))

        # By the topic's name: the newest version of the subject, a union of all kinds of events.
        latest = client.get_latest_version(subject)
        self.assertEqual(len(latest.schema.references), 4)
        # As Java's serializer writes it: that of Python 2.6 cannot write a union of references.
        union = Writer(json.dumps([json.loads(schema_text(kind)) for kind in json.loads(latest.schema.schema_str.replace(
            "freshet.", ""))]))
        rating = {**event("by-topic", 2), "rating": 5.0}
        del rating["dwell_s"]
        for value in (("freshet.Click", event("by-topic", 1)), ("freshet.Rating", rating)):
            app.send("events", "by-topic", framed(latest.schema_id, union.body(value)))
        app.flush()
        # By the record's name.
        by_record = AvroSerializer(client, schema_text("Click"), conf={
            "auto.register.schemas": False, "subject.name.strategy": record_subject_name_strategy})
        send("by-record", by_record, event("by-record", 3))
        # A producer's own schema that refers to a type in another subject.
        shop = json.dumps({"type": "record", "name": "Shop", "namespace": "shop", "fields": [
            {"name": "town", "type": "string"}]})
        client.register_schema("shop.Shop", Schema(shop, "AVRO"))
        click_in_shop = newer_click()
        click_in_shop["fields"].append({"name": "shop", "type": "shop.Shop"})
        referring = AvroSerializer(client, Schema(json.dumps(click_in_shop), "AVRO",
                                                  [SchemaReference("shop.Shop", "shop.Shop", 1)]),
                                   conf={"subject.name.strategy": lambda context, name: "clicks-in-shops"})
        send("by-reference", referring, {**event("by-reference", 4), "campaign": None, "shop": {"town": "Bern"}})
        producer.flush(30)
        app.settle()
        self.assertEqual(service.metric("freshet_dead_letters_total"), 0)
        self.assertEqual({user: row["events"] for user, row in app.users().items()},
                         {"by-topic": 2, "by-record": 1, "by-reference": 1})
        # Lists are read as anybody reads them.
        read = AvroDeserializer(client)
        context = SerializationContext(app.topics["recommendations"], MessageField.VALUE)
        lists = until(lambda: [read(record.value, context) for record in app.read("recommendations")], "lists")
        self.assertTrue(all(entry["user_id"] and entry["items"] for entry in lists))
        # A version that we could not read is named before anybody uses it.
        odd = json.loads(schema_text("Item"))
        odd["fields"][0]["type"] = "long"
        client.register_schema(f"{app.topics['items']}-value", Schema(json.dumps(odd), "AVRO"))
        topics("check", code=EXIT_FAILED, says="version 2 cannot be read: ")
        self.assertEqual(service.stop(), EXIT_OK)

    def test_a_reference_that_the_registry_lacks(self):
        """Its records do not hold up the partition: they are dead letters that name the reference."""
        shop = newer_click()
        shop["fields"].append({"name": "shop", "type": "shop.Shop"})
        registry = FakeRegistry(self, {7: json.dumps(shop)})
        registry.references = [{"name": "shop.Shop", "subject": "shop.Shop", "version": 3}]
        app = self.app({"registry.url": registry.url})
        app.announce(10)
        service = app.service().start_ready()
        odd = {**event("user-1", 1), "campaign": None}
        app.send("events", "user-1", framed(7, fastavro_body(newer_click())(odd) + b"\x08Bern"))
        app.send("events", "user-1", click("user-1", "item-2"))
        app.settle()
        self.assertEqual(app.users()["user-1"]["events"], 1)
        letters = [dict(r.headers)["__connect.errors.exception.message"].decode() for r in app.read("dead_letters")]
        self.assertEqual(len(letters), 1, letters)
        self.assertIn("schema id 7: the registry has no schema for the reference shop.Shop", letters[0])
        self.assertEqual(service.stop(), EXIT_OK)

    def test_a_replay_asks_the_registry(self):
        registry = FakeRegistry(self, {1: json.dumps(newer_click())})
        source = self.app()
        app = self.app({"registry.url": registry.url})
        body = fastavro_body(newer_click())
        for n in range(20):
            source.send("events", f"user-{n}", framed(1, body({**event(f"user-{n}", n), "campaign": "x"})))
        source.flush()
        done = app.command("replay", "--events", f"kafka://{source.topics['events']}")
        self.assertEqual(done.returncode, EXIT_OK, done.stderr)
        self.assertEqual(len(app.read("events")), 20)
        registry.mode = "error"
        other = self.app({"registry.url": registry.url, "registry.ids": "9=Click"})
        source.send("events", "user-1", framed(9, SCHEMAS["Click"].body(event("user-1", 1))))
        source.flush()
        away = subprocess.Popen([BINARY, "replay", "--events", f"kafka://{source.topics['events']}", "-c",
                                 other.config_path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(away.kill)
        until(lambda: registry.asked.get(1, 0) > 3, "it asks again and again")
        registry.mode = "right"  # and goes on when the registry is back
        self.assertEqual(away.wait(60), EXIT_OK, away.stdout.read())
        self.assertEqual(len(other.read("events")), 21)

    def test_a_real_registry_and_producers_of_confluents_library(self):
        url = self.start_registry()
        app = self.app({"registry.url": url})
        service = app.service().start_ready()
        client = SchemaRegistryClient({"url": url})
        producer = Producer({"bootstrap.servers": BOOTSTRAP, "partitioner": "murmur2_random"})

        def send(topic, key, schema, value):
            serializer = AvroSerializer(client, json.dumps(schema))
            name = app.topics[topic]
            producer.produce(name, key=key, value=serializer(value, SerializationContext(name, MessageField.VALUE)))

        for n in range(10):
            send("items", f"item-{n}", json.loads(schema_text("Item")),
                 {"item_id": f"item-{n}", "title": f"thing {n}", "text": "", "categories": [], "available": True,
                  "expires_at": 0, "vector": b"", "created_at": 0, "attributes": []})
        for n in range(20):  # the producer's schema is newer than ours
            send("events", f"user-{n % 5}", newer_click(),
                 {"event_id": str(uuid.uuid4()), "user_id": f"user-{n % 5}", "item_id": f"item-{n % 10}",
                  "occurred_at": now_ms(), "dwell_s": 1.0, "campaign": "spring"})
        producer.flush(30)
        service.await_metric("freshet_items_listed", 10)
        app.settle()
        self.assertEqual(sum(user["events"] for user in app.users().values() if isinstance(user, dict)), 20)
        self.assertEqual(service.metric("freshet_dead_letters_total"), 0)
        self.assertEqual(service.metric("freshet_partitions_awaiting_schema"), 0)

    def test_a_registry_that_is_away_delays_what_needs_it_and_nothing_else(self):
        body = SCHEMAS["Click"].body
        registry = FakeRegistry(self, {1: schema_text("Click"), 2: schema_text("Item")})
        app = self.app({"registry.url": f"http://127.0.0.1:1, {registry.url}/", "registry.timeout_ms": 500})
        app.announce(5)
        service = app.service().start_ready()

        def event(user, n=0):
            return {"event_id": str(uuid.uuid4()), "user_id": user, "item_id": f"item-{n}", "occurred_at": now_ms(),
                    "dwell_s": 0.0}

        for mode in ("error", "proxy", "silent", "garbage"):
            registry.mode, waiting = mode, f"waiting-{mode}"
            schema_id = {"error": 1, "proxy": 11, "silent": 12, "garbage": 13}[mode]
            registry.schemas[schema_id] = schema_text("Click")
            app.send("events", waiting, framed(schema_id, body(event(waiting))))
            app.flush()
            service.await_metric("freshet_partitions_awaiting_schema", 1)
            users = [f"{mode}-{n}" for n in range(40)]
            for user in users:
                app.send("events", user, click(user, "item-1"))
            app.flush()
            # Those of the other partitions go on.
            until(lambda: sum(service.get(f"/v1/users/{user}")[0] == 200 for user in users) >= 20, f"{mode}: the others")
            self.assertEqual(service.get(f"/v1/users/{waiting}")[0], 404)
            registry.mode = "right"
            until(lambda: service.get(f"/v1/users/{waiting}")[0] == 200, f"{mode}: the event that waited")
            app.settle()
            self.assertEqual([user for user in users if service.get(f"/v1/users/{user}")[0] != 200], [])
        registry.mode = "error"
        app.send("items", "late", framed(2, item("late", title="late")[10:]))  # without the head of its own framing
        app.flush()
        service.await_metric("freshet_items_awaiting_schema", 1)
        registry.mode = "right"
        service.await_metric("freshet_items_listed", 6)
        app.settle()
        self.assertEqual(service.metric("freshet_dead_letters_total"), 0)
        self.assertGreater(service.metric("freshet_registry_failures_total"), 0)
        self.assertIn("registry.unavailable", service.log())
        # What was told once is known at the next start, although the registry is away.
        registry.mode = "error"
        service.stop()
        service.start_ready()
        asked = dict(registry.asked)
        for n in range(50):
            app.send("events", "again", framed(1, body(event("again"))))
        app.settle()
        self.assertEqual(json.loads(service.get("/v1/users/again")[1])["events"], 50)
        self.assertEqual(registry.asked, asked)

    def test_schemas_that_a_header_names_by_guid(self):
        guids = {name: str(uuid.uuid4()) for name in ("Click", "Item", "Invoice", "none")}
        registry = FakeRegistry(self, {
            guids["Click"]: json.dumps(newer_click()), guids["Item"]: schema_text("Item"),
            guids["Invoice"]: '{"type": "record", "name": "Invoice", "fields": []}'})
        app = self.app({"registry.url": registry.url})
        service = app.service().start_ready()

        def send(topic, key, name, body):
            app.send(topic, key, body, headers=[("__value_schema_id", b"\1" + uuid.UUID(guids[name]).bytes)])

        write_click = fastavro_body(newer_click())
        for n in range(10):
            send("items", f"item-{n}", "Item", item(f"item-{n}")[10:])  # without the head of its own framing
        registry.mode = "error"
        for n in range(20):
            send("events", f"user-{n % 5}", "Click", write_click({**event(f"user-{n % 5}", n), "campaign": "x"}))
        app.send("events", "user-0", click("user-0", "item-9"))  # and as ever beside them
        app.flush()
        until(lambda: service.metric("freshet_registry_failures_total") > 0, "it asks")
        registry.mode = "right"
        service.await_metric("freshet_items_listed", 10)
        app.settle()
        self.assertEqual(sum(row["events"] for row in app.users().values()), 21)
        self.assertEqual(service.metric("freshet_dead_letters_total"), 0)
        for name in ("Invoice", "none"):
            send("events", "user-1", name, b"\0" * 30)
        app.flush()
        service.await_metric("freshet_dead_letters_total", 2)
        app.settle()
        reasons = [dict(letter.headers)["__connect.errors.exception.message"].decode()
                   for letter in app.read("dead_letters")]
        self.assertTrue(any(guids["none"] in reason and "unknown" in reason for reason in reasons), reasons)
        self.assertTrue(any(guids["Invoice"] in reason and "record Invoice" in reason for reason in reasons), reasons)
        # What was told once is known at the next start, although the registry is away.
        registry.mode = "error"
        service.stop()
        service.start_ready()
        asked = dict(registry.asked)
        send("events", "again", "Click", write_click({**event("again", 1), "campaign": None}))
        app.settle()
        self.assertEqual(json.loads(service.get("/v1/users/again")[1])["events"], 1)
        self.assertEqual(registry.asked, asked)
        service.await_metric("freshet_items_listed", 10)

    def test_answers_that_are_no_schema_of_ours(self):
        stranger = '{"type": "record", "name": "Invoice", "fields": []}'
        broken = json.dumps({"type": "record", "name": "Click", "fields": [{"name": "user_id", "type": "long"}]})
        registry = FakeRegistry(self, {3: "no schema", 4: stranger, 5: broken, 6: '"string"', 1: schema_text("Click")})
        os.environ["REGISTRY_TOKEN"] = "sesame"
        app = self.app({"registry.url": registry.url, "registry.token_env": "REGISTRY_TOKEN"})
        app.announce(5)
        service = app.service().start_ready()
        for schema_id in (3, 4, 5, 6, 404):
            app.send("events", "u", framed(schema_id, b"\0" * 30))
        app.send("events", "u", framed(1, SCHEMAS["Click"].body(
            {"event_id": "e", "user_id": "u", "item_id": "item-1", "occurred_at": now_ms(), "dwell_s": 0.0})))
        app.flush()
        service.await_metric("freshet_dead_letters_total", 5)
        until(lambda: service.get("/v1/users/u")[0] == 200, "the event after them")
        app.settle()
        reasons = sorted(dict(letter.headers)["__connect.errors.exception.message"].decode()
                         for letter in app.read("dead_letters"))
        for word in ("schema id 3", "Invoice", "schema id 5", "schema id 6", "unknown schema id 404"):
            self.assertTrue(any(word in reason for reason in reasons), f"{word} in {reasons}")
        self.assertEqual({authorization for _, authorization in registry.paths}, {"Bearer sesame"})


if __name__ == "__main__":
    main()
