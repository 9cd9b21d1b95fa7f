"""`freshet repair` lists exactly the records of the state topics that cannot be used, takes them out of use, and leaves the
state as if they had never been there. What it cannot know to be strange, it leaves alone."""

import base64
import json
import shutil
import struct

import xxhash
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from harness import SCHEMAS, Case, click, compacted, decode, id_key, main, now_ms, single_object, until, wait

U64 = 2**64


def mix64(x):
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9 % U64
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb % U64
    return x ^ (x >> 31)


def seal(app, key, value):
    """The header of a record that the app itself has written."""
    def hashed(data):
        return xxhash.xxh3_64_intdigest(data or b"") or 1
    total = mix64((mix64((hashed(key) + 1) % U64) + hashed(value)) % U64)
    return [("freshet.state", struct.pack("<Q", total) + app.id.encode())]


def delta(values):
    return single_object(SCHEMAS["ItemDelta"], {
        "worker": "evil", "events": 1, "items": struct.pack("<Q", id_key("item-1")), "values": values,
        "trace": bytes(4), "globals": b""})


def user(name, **more):
    empty = {field["name"]: b"" if field["type"] == "bytes" else field.get("default")
             for field in SCHEMAS["UserState"].parsed["fields"]}
    return single_object(SCHEMAS["UserState"], {**empty, "user_id": name, **more})


class Repair(Case):
    def forge(self, app, topic, key, value, partition=0, headers=None):
        """Writes a record past the app; returns its place."""
        went = []
        producer = Producer({"bootstrap.servers": app.bootstrap})
        producer.produce(app.topics[topic], key=key, value=value, partition=partition, headers=headers,
                         on_delivery=lambda error, message: went.append((error, message)))
        self.assertEqual(producer.flush(30), 0)
        self.assertIsNone(went[0][0])
        return (app.topics[topic], partition, went[0][1].offset())

    def busy_app(self):
        app = self.app({"state.items_interval_s": 1, "state.checkpoint_interval_s": 1})
        app.announce(20)
        worker = app.service().start_ready()
        for number in range(60):
            app.send("events", f"user-{number % 6}", click(f"user-{number % 6}", f"item-{number % 20}"))
        app.settle()
        until(lambda: any(r.key.startswith(b"\0item") for r in app.read("item_states")), "a checkpoint")
        return app, worker

    def listed(self, output):
        """The places that the command has printed."""
        places = set()
        for line in output.splitlines():
            if "] offset " in line and not line.startswith(" "):
                topic, rest = line.split(" [", 1)
                partition, rest = rest.split("] offset ", 1)
                places.add((topic, int(partition), int(rest.split(":")[0])))
        return places

    def rows(self, app):
        """What each user's row in the changelog says, read as a worker does: the last one that is sealed."""
        good = [r for r in app.read("users") if r.key.startswith(b"user-") and r.headers and r.value
                and r.headers == seal(app, r.key, r.value) and b"garbage" not in r.value]
        return {key: decode("UserState", value) for key, value in compacted(good).items()}

    def quarantine(self, app, places, before=0):
        """Lists exactly these, takes them out of use, and finds nothing afterwards."""
        looked = app.command("repair")
        self.assertEqual(self.listed(looked.stdout), places, looked.stdout + looked.stderr)
        self.assertEqual(looked.returncode, 5)
        self.assertEqual(looked.stdout.count("lost: "), len(places))
        path = app.folder / f"quarantine-{before}.jsonl"
        done = app.command("repair", "--execute", "--file", str(path))
        self.assertEqual(done.returncode, 0, done.stderr)
        again = app.command("repair")
        self.assertEqual((again.returncode, self.listed(again.stdout)), (0, set()), again.stdout)
        self.assertIn(f"{before + len(places)} were taken out of use before", again.stdout)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        self.assertEqual({(l["topic"], l["partition"], l["offset"]) for l in lines}, places)
        written = {(app.topics[name], r.partition, r.offset): r
                   for name in ("users", "item_states", "item_deltas", "generations") for r in app.read(name)}
        for line in lines:
            record = written[line["topic"], line["partition"], line["offset"]]
            self.assertEqual(base64.b64decode(line.get("value", "")), record.value or b"")
            self.assertEqual(base64.b64decode(line.get("key", "")), record.key or b"")
        letters = {(dict(r.headers)["__connect.errors.topic"].decode(),
                    int(dict(r.headers)["__connect.errors.partition"]), int(dict(r.headers)["__connect.errors.offset"]))
                   for r in app.read("dead_letters")}
        self.assertEqual(len(letters), before + len(places))
        self.assertLessEqual(places, letters)
        return looked.stdout

    def test_strangers_records_leave_no_trace(self):
        app, worker = self.busy_app()
        state = next(r for r in app.read("item_states") if r.key.startswith(b"\0item"))
        halved = decode("ItemState", state.value)
        halved["learned"] = halved["learned"][:len(halved["learned"]) // 2]
        row = next(r for r in app.read("users") if r.key == b"user-1")
        switch = {"generation": "nobody", "number": 99, "previous": "x", "partition": -1, "offset": -1, "learned": -1,
                  "at": now_ms()}
        real = app.read("item_deltas")[-1]
        places = {
            self.forge(app, "item_deltas", None, b"garbage"),
            self.forge(app, "item_deltas", None, delta(b"\xff" * 200)),
            self.forge(app, "item_deltas", None, real.value),  # a good one, a second time
            self.forge(app, "generations", b"serving", single_object(SCHEMAS["GenerationFact"], switch)),
            self.forge(app, "item_states", state.key, single_object(SCHEMAS["ItemState"], halved), state.partition),
            self.forge(app, "users", b"user-1", user("user-1", newest_offset=2**62, events=5), row.partition),
            self.forge(app, "users", b"user-1", None, row.partition),
            self.forge(app, "users", b"\0d" + bytes(8), b"\xff" * 100),
            # The bytes of a row have changed on their way; its header has not.
            self.forge(app, "users", row.key, row.value[:-1] + b"\x55", row.partition, row.headers),
        }
        app.send("events", "user-2", click("user-2", "item-3"))
        app.settle()
        worker.expect_running()
        self.assertEqual(worker.stop(), 0)
        before = self.rows(app)
        told = self.quarantine(app, places)
        self.assertIn("of user 'user-1' the record at offset", told)
        self.assertIn("'item-1'", told)  # what the strange delta speaks of
        self.assertEqual(self.rows(app), before)
        self.assertEqual(decode("UserState", compacted(app.read("users"))[b"user-1"]), before[b"user-1"])
        own = self.forge_own(app, row)
        shutil.rmtree(worker.state)
        worker.start()
        self.assertNotEqual(worker.process.wait(60), 0)
        topic, partition, offset = own[0]
        self.assertIn(f"{topic} [{partition}] at offset {offset}: ", worker.last_line())
        self.assertIn("`freshet repair`", worker.last_line())
        worker.process = None
        self.quarantine(app, set(own), before=len(places))
        start = len(worker.log())
        worker.start_ready()
        app.send("events", "user-1", click("user-1", "item-1"))
        app.settle()
        self.assertEqual(self.rows(app)[b"user-1"]["events"], before[b"user-1"]["events"] + 1)
        self.assertNotIn("state.skipped", worker.log()[start:])

    def forge_own(self, app, row):
        """Records with a right seal that no version can read."""
        garbage, strange = delta(b"\xff" * 200), b"\xc3\x01garbage"
        return [self.forge(app, "item_deltas", None, garbage, 0, seal(app, b"", garbage)),
                self.forge(app, "users", b"user-1", strange, row.partition, seal(app, b"user-1", strange))]

    def test_records_of_a_later_version_stay(self):
        """They are good state. A later version, which wrote them, reads them; this one says that it has to be updated."""
        app, worker = self.busy_app()
        self.assertEqual(worker.stop(), 0)
        row = next(r for r in app.read("users") if r.key == b"user-1")
        state = next(r for r in app.read("item_states") if r.key.startswith(b"\0item"))
        later = decode("ItemState", state.value)
        later["learned"] = b"\xfe" + later["learned"][1:]
        weights = 4000
        grown = single_object(SCHEMAS["ItemDelta"], {
            "worker": "later", "events": 1, "items": b"", "values": struct.pack("<I", 16), "trace": bytes(4),
            "globals": struct.pack("<I", weights) + bytes(16 * weights)})
        written = [("users", b"user-1", b"\xc3\x01" + bytes(8) + row.value[10:], row.partition),
                   ("item_states", state.key, single_object(SCHEMAS["ItemState"], later), state.partition),
                   ("item_deltas", None, grown, 0)]
        for topic, key, value, partition in written:
            self.forge(app, topic, key, value, partition, seal(app, key or b"", value))
        garbage = delta(b"\xff" * 200)
        place = self.forge(app, "item_deltas", None, garbage, 0, seal(app, b"", garbage))
        told = self.quarantine(app, {place})
        for topic, *_ in written:
            self.assertIn(f"1 records of topic {app.topics[topic]} were written by a later version", told)
        for topic, key, value, partition in written:
            last = [r for r in app.read(topic) if r.key == key and r.partition == partition][-1 if key else -2]
            self.assertEqual(last.value, value)

    def test_records_of_a_version_without_seals(self):
        """They count, until the command has said that all processes write seals."""
        app, worker = self.busy_app()
        self.assertEqual(worker.stop(), 0)
        row = next(r for r in app.read("users") if r.key == b"user-1")
        old = decode("UserState", row.value)
        admin = AdminClient({"bootstrap.servers": app.bootstrap})
        wait(admin.delete_topics([app.topics["generations"]]).values(), 20)  # as if it had never had a fact

        def made():
            wait(admin.create_topics([NewTopic(app.topics["generations"], 1, 1, config={
                "cleanup.policy": "compact"})]).values(), 20)
            return app.topics["generations"] in admin.list_topics(timeout=20).topics
        until(made, "the topic of facts is made again")
        by_old = self.forge(app, "users", b"user-1", single_object(SCHEMAS["UserState"], {**old, "events": 100}),
                            row.partition)
        looked = app.command("repair")
        self.assertEqual((looked.returncode, self.listed(looked.stdout)), (0, set()), looked.stdout)
        self.assertIn("1 have no seal", looked.stdout)
        self.assertIn("records without a seal count", looked.stdout)
        self.assertEqual(app.command("repair", "--execute").returncode, 0)
        late = self.forge(app, "users", b"user-1", single_object(SCHEMAS["UserState"], {**old, "events": 200}),
                          row.partition)
        looked = app.command("repair")
        self.assertEqual((looked.returncode, self.listed(looked.stdout)), (5, {late}), looked.stdout)
        self.assertIn(f"of user 'user-1' the record at offset {by_old[2]} counts", looked.stdout)
        shutil.rmtree(worker.state)
        worker.start_ready()
        app.send("events", "user-1", click("user-1", "item-1"))
        app.settle()
        self.assertEqual(self.rows(app)[b"user-1"]["events"], 101)


if __name__ == "__main__":
    main()
