"""What the world does wrong: records that cannot be used, clusters and folders that are not as they should be, brokers
that go away, disks that fill up. The stream goes on, nothing is lost, or the process ends with a code and a message."""

import contextlib
import json
import math
import os
import re
import shutil
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from harness import (BINARY, EXIT_FAILED, EXIT_OK, EXIT_STATE, EXIT_UNAVAILABLE, EXIT_USAGE, SCHEMAS, Broker, Case,
                     Ledger, checksum, click, confluent, event, item, list_items, main, now_ms, purchase, rating, until)

YEAR_MS = 365 * 24 * 3600 * 1000
UNKNOWN_FINGERPRINT = b"\xc3\x01" + b"\x11" * 8

# Avro's zigzag varints
GIANT = b"\xfe\xff\xff\xff\xff\xff\xff\x7f"
MIB_64 = b"\x80\x80\x80\x40"


def good(user="user"):
    return event(user, "item-1", dwell_s=1.0)


def header(name):
    return b"\xc3\x01" + SCHEMAS[name].fingerprint


# what: (key, value, what the reason must name). Each is a dead letter.
BAD_EVENTS = {
    "empty value": ("user", b"", ""),
    "one byte": ("user", b"\xc3", ""),
    "truncated header": ("user", header("Click")[:7], ""),
    "no body": ("user", header("Click"), ""),
    "truncated": ("user", click("user", "item-1")[:-3], ""),
    "bytes left over": ("user", click("user", "item-1") + b"\0", ""),
    "7 bytes, giant length": ("user", b"\0" + struct.pack(">i", 12) + b"\xfe\x7f", ""),
    "length of 64 MiB": ("user", b"\0" + struct.pack(">i", 12) + MIB_64, ""),
    "length near 2^62": ("user", header("Click") + GIANT, ""),
    "negative length": ("user", header("Click") + b"\x01", ""),
    "endless varint": ("user", header("Click") + b"\xff" * 20, ""),
    "neither framing": ("user", b'{"user_id": "user"}', "JSON"),
    "unknown fingerprint": ("user", UNKNOWN_FINGERPRINT + b"abc", "1111111111111111"),
    "unknown schema id": ("user", confluent(4711, SCHEMAS["Click"], good()), "4711"),
    "a schema that is no event": ("user", item("item-1"), ""),
    "rating NaN": ("user", rating("user", "item-1", math.nan), "rating"),
    "rating infinite": ("user", rating("user", "item-1", math.inf), "rating"),
    "rating minus infinite": ("user", rating("user", "item-1", -math.inf), "rating"),
    "rating off the scale": ("user", rating("user", "item-1", 5.5), "rating"),
    "dwell NaN": ("user", click("user", "item-1", dwell_s=math.nan), "dwell"),
    "negative quantity": ("user", purchase("user", "item-1", quantity=-1), "quantity"),
    "price infinite": ("user", purchase("user", "item-1", price=math.inf), "price"),
    "empty event id": ("user", click("user", "item-1", event_id=""), "event_id"),
    "empty item id": ("user", click("user", ""), "item_id"),
    "empty user id": ("", click("", "item-1"), ""),
    "no key": (None, click("user", "item-1"), ""),
    "4 KB user id": ("u" * 4096, click("u" * 4096, "item-1"), ""),
    "4 KB item id": ("user", click("user", "i" * 4096), "item_id"),
    "4 KB event id": ("user", click("user", "item-1", event_id="e" * 4096), "event_id"),
    "control characters": ("user", click("user", "item\n1"), "item_id"),
    "a key like our own rows": ("\0d12345678", click("\0d12345678", "item-1"), ""),
    "not UTF-8": (b"user\xff", header("Click") + b"\x02e\x0auser\xff\x02i\x02" + b"\0" * 4, "user_id"),
    "key differs from user_id": ("somebody", click("user", "item-1"), "somebody"),
    "a year ahead": ("user", click("user", "item-1", occurred_at=now_ms() + YEAR_MS), "occurred_at"),
    "before time": ("user", click("user", "item-1", occurred_at=-1), "occurred_at"),
}

BAD_ITEMS = {
    "garbage": ("item-9", b"\xff\xfe", ""),
    "truncated": ("item-9", item("item-9", text="a text that is cut")[:-20], ""),
    "an event": ("item-9", click("user", "item-9"), ""),
    "key differs from item_id": ("item-8", item("item-9"), "item-8"),
    "4 KB id": ("i" * 4096, item("i" * 4096), "item_id"),
    "vector NaN": ("item-9", item("item-9", vector=struct.pack("<f", math.nan)), "vector"),
    "vector cut": ("item-9", item("item-9", vector=b"\0\0\0"), "vector"),
    "65 categories": ("item-9", item("item-9", categories=[f"c{i}" for i in range(65)]), "categories"),
    "array of 2^61 categories": ("item-9", header("Item") + b"\x02i\x02t\x02x" + GIANT, ""),
}


class BadRecords(Case):
    def check_letters(self, sent):
        """sent: {(topic, partition, offset): (name, key, value, named)}. Each is a dead letter, once, and nothing else is."""
        letters = {}
        for record in self.freshet.read("dead_letters"):
            headers = {name: value.decode() for name, value in record.headers}
            place = (headers["__connect.errors.topic"], int(headers["__connect.errors.partition"]),
                     int(headers["__connect.errors.offset"]))
            self.assertNotIn(place, letters, "a second dead letter")
            letters[place] = (record, headers)
        self.assertEqual(set(letters), set(sent), {sent[place][0] for place in set(sent) - set(letters)})
        for place, (name, key, value, named) in sent.items():
            record, headers = letters[place]
            with self.subTest(letter=name):
                self.assertEqual(record.key, key.encode() if isinstance(key, str) else key)
                self.assertEqual(record.value, value)
                message = headers["__connect.errors.exception.message"]
                self.assertTrue(message)
                self.assertIn(named, message)
                self.assertIn(headers["__connect.errors.stage"], ["KEY_CONVERTER", "VALUE_CONVERTER", "TRANSFORMATION"])

    def send_all(self, topic, cases, sent):
        for name, (key, value, named) in cases.items():
            partition, offset = self.freshet.put(topic, key, value)
            sent[self.freshet.topics[topic], partition, offset] = (name, key, value, named)

    def test_dead_letters_exactly_once_and_the_stream_goes_on(self):
        self.freshet = self.app({"registry.ids": "12=Click", "ranking.k": 50})
        self.freshet.announce(5)
        worker = self.freshet.service().start_ready()
        worker.await_metric("freshet_items_listed", 5)
        before_mb = worker.rss_mb()
        sent, users = {}, [f"good-{i}" for i in range(20)]
        self.send_all("events", BAD_EVENTS, sent)
        self.send_all("items", BAD_ITEMS, sent)
        for user in users:
            self.freshet.send("events", user, click(user, "item-1", event_id=f"first-{user}"))
        self.freshet.settle()
        until(lambda: worker.metric("freshet_dead_letters_total") == len(sent), "every bad record is counted")
        until(lambda: len(self.freshet.read("dead_letters")) >= len(sent), "all dead letters are committed")
        self.check_letters(sent)
        self.assertLess(worker.rss_mb() - before_mb, 40, "memory was taken for a length that a record claims")
        self.assertEqual(worker.metric("freshet_items_listed"), 5)

        # Bad records, a crash, and more of them: still each once.
        self.send_all("events", BAD_EVENTS, sent)
        worker.kill()
        self.send_all("items", BAD_ITEMS, sent)
        worker.start_ready()
        for user in users:
            self.freshet.send("events", user, click(user, "item-2", event_id=f"second-{user}"))
        self.freshet.settle()
        until(lambda: len(self.freshet.read("dead_letters")) >= len(sent), "all dead letters are written")
        self.check_letters(sent)
        states = self.freshet.users()
        self.assertEqual(set(states), set(users))
        for user in users:
            self.assertEqual(states[user]["event_checksum"] % 2**64, checksum([f"first-{user}", f"second-{user}"]))
        self.assertEqual(set(self.freshet.await_lists(users)), set(users))

    def test_odd_but_good(self):
        """An item nobody announced, an item without text, a million characters, the longest ids: all are used."""
        self.freshet = self.app({"ranking.k": 50})
        longest = "x" * 512
        for item_id, more in {"plain": {}, "silent": {"title": "", "text": ""}, "long": {"text": "wörter " * 150000},
                              longest: {}}.items():
            self.freshet.send("items", item_id, item(item_id, **more))
        self.freshet.flush()
        worker = self.freshet.service().start_ready()
        worker.await_metric("freshet_items_listed", 4)
        self.freshet.send("events", "one", purchase("one", "nobody-announced-this"))
        self.freshet.send("events", longest, rating(longest, longest, 0.5, event_id=longest))
        self.freshet.settle()
        lists = self.freshet.await_lists(["one", longest])
        self.assertCountEqual(list_items(lists["one"]), ["plain", "silent", "long", longest])
        self.assertCountEqual(list_items(lists[longest]), ["plain", "silent", "long"])
        self.assertEqual(worker.metric("freshet_events_unannounced_total"), 1)
        self.assertEqual(self.freshet.read("dead_letters"), [])


class BadSurroundings(Case):
    def expect_end(self, service, code, *words):
        self.assertEqual(service.start().wait(), code, service.log())
        for word in words:
            self.assertIn(str(word), service.log())

    def make_topics(self, app, counts):
        admin = AdminClient({"bootstrap.servers": app.bootstrap})
        made = admin.create_topics([NewTopic(app.topics[name], count, 1) for name, count in counts.items()])
        for future in made.values():
            future.result(30)

    def test_missing_topics(self):
        app = self.app(create=False)
        self.expect_end(app.service(), EXIT_UNAVAILABLE, app.topics["events"], app.topics["users"], "topics create")

    def test_wrong_partition_counts(self):
        app = self.app(create=False)
        self.make_topics(app, {"events": 4, "users": 3})
        app.create_topics()
        self.expect_end(app.service(), EXIT_STATE, app.topics["users"], 3, 4)

    def test_deltas_in_two_partitions(self):
        app = self.app(create=False)
        self.make_topics(app, {"item_deltas": 2})
        app.create_topics()
        app.announce(5)
        worker = app.service().start_ready()
        self.assertIn(f"{app.topics['item_deltas']} has 2 partitions, of which only the first is used", worker.log())
        for number in range(20):
            app.send("events", f"user-{number}", click(f"user-{number}", "item-1"))
        app.settle()
        chosen = json.loads(worker.get("/v1/items/item-1")[1])["chosen"]
        self.assertGreater(chosen, 0)
        worker.kill()
        shutil.rmtree(worker.state)
        worker.start_ready()
        self.assertEqual(json.loads(worker.get("/v1/items/item-1")[1])["chosen"], chosen)

    def test_state_folder_of_another_app(self):
        one, other = self.app(), self.app()
        owner = one.service().start_ready()
        self.assertEqual(owner.stop(), EXIT_OK)
        self.expect_end(other.service(state=owner.state), EXIT_STATE, owner.state, one.id)

    def test_state_folder_in_use(self):
        app = self.app()
        first = app.service("first").start_ready()
        self.expect_end(app.service("second", state=first.state), EXIT_STATE, first.state)
        first.expect_running()

    def test_state_folder_cannot_be_made(self):
        app = self.app()
        blocked = app.folder / "a-file"
        blocked.write_text("not a folder")
        self.expect_end(app.service(state=blocked / "state"), EXIT_STATE, blocked)

    def test_configuration(self):
        app = self.app()
        for settings, words in (({"ranking.kk": 3}, ["freshet.conf:", "ranking.kk", "ranking.k"]),
                                ({"ranking.k": "many"}, ["freshet.conf:", "ranking.k", "many"]),
                                ({"nonsense.key": 1}, ["nonsense"]),
                                ({"app.delivery": "sometimes"}, ["app.delivery", "fast|committed"])):
            with self.subTest(settings=settings):
                app.write_config(settings)
                self.expect_end(app.service(f"run-{list(settings)[0]}"), EXIT_USAGE, *words)
        app.config_path.unlink()
        self.expect_end(app.service("run-without"), EXIT_USAGE, app.config_path)

    def test_kafka_settings(self):
        app = self.app()
        app.write_config({"kafka.no.such.setting": 1})
        self.expect_end(app.service("unknown"), EXIT_USAGE, "freshet.conf:", "no.such.setting")
        app.write_config({"kafka.isolation.level": "read_uncommitted"})
        self.expect_end(app.service("fixed"), EXIT_USAGE, "isolation.level")

    def test_unknown_command(self):
        ended = subprocess.run([BINARY, "rnu"], capture_output=True, text=True, timeout=10)
        self.assertEqual(ended.returncode, EXIT_USAGE)
        self.assertIn("rnu", ended.stderr)


class BrokerTrouble(Case):
    down_s = float(os.environ.get("BROKER_DOWN_S", 12))

    def test_broker_comes_late_and_goes_away(self):
        broker = Broker(self)
        broker.start()
        app = self.app({"kafka.transaction.timeout.ms": 60000}, bootstrap=broker.bootstrap)
        app.announce(10)
        broker.stop()

        worker = app.service().start()
        until(lambda: worker.get("/livez")[0] == 200, "alive without a broker")
        until(lambda: "kafka.trouble" in worker.log(), "the log says why nothing happens")
        self.assertEqual(worker.get("/readyz")[0], 503)
        worker.expect_running()
        broker.start()
        until(worker.ready, "ready once the broker has come")

        ledger, stopped = Ledger(app, users=50, items=10), threading.Event()
        producer = threading.Thread(target=ledger.send_at, args=(200, stopped))
        producer.start()
        time.sleep(3)
        broker.stop()
        time.sleep(self.down_s)
        worker.expect_running()
        broker.start()
        time.sleep(3)
        stopped.set()
        producer.join()
        ledger.verify(self)
        self.assertGreater(ledger.count, 1000)
        self.assertEqual(worker.stop(), EXIT_OK)


class Security(Case):
    """A mistake in the security settings names itself, soon, in every command."""

    mistakes = [(["kafka.security.protocol=SSL"], "_SSL", "is it a plaintext listener"),
                (["kafka.security.protocol=SASL_PLAINTEXT", "kafka.sasl.mechanism=PLAIN", "kafka.sasl.username=x",
                  "kafka.sasl.password=y"], "_AUTHENTICATION", "is it a listener without authentication")]

    def test_commands(self):
        app = self.app(create=False)
        for settings, code, says in self.mistakes:
            overrides = [part for setting in settings for part in ("-X", setting)]
            for command in (["topics", "check"], ["offsets"], ["erase", "--user", "u"]):
                with self.subTest(command=command, code=code):
                    began = time.monotonic()
                    ended = app.command(*command, *overrides)
                    self.assertEqual(ended.returncode, EXIT_UNAVAILABLE)
                    self.assertIn(code, ended.stderr)
                    self.assertIn(says, ended.stderr)
                    self.assertLess(time.monotonic() - began, 10)

    def test_service(self):
        app = self.app(create=False)
        for name, (settings, code, says) in enumerate(self.mistakes):
            worker = app.service(f"worker-{name}", overrides=settings).start()
            until(lambda: re.search(f" warn kafka.trouble .*{code}.*{says}", worker.log()), "the log says why")
            worker.expect_running()
            worker.stop()


class DiskFull(Case):
    def setUp(self):
        super().setUp()
        self.disk = Path(tempfile.mkdtemp(prefix="freshet-disk-"))
        self.addCleanup(self.disk.rmdir)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", self.disk], capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("cannot mount a small tmpfs")
        self.addCleanup(subprocess.run, ["umount", "-l", self.disk], check=True)

    def fill(self):
        """Leaves no byte free."""
        with open(self.disk / "filler", "wb", buffering=0) as filler:
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while True:
                        filler.write(bytes(size))

    def test_ends_with_a_message_and_goes_on_when_there_is_room(self):
        app = self.app({"state.memtable_mb": 1})
        app.announce(10)
        worker = app.service(state=self.disk / "state").start_ready()
        ledger = Ledger(app, users=500, items=10)
        ledger.send(2000)
        app.settle()
        self.fill()

        def ended():
            ledger.send(500)
            return worker.process.poll() is not None

        until(ended, "the full disk is noticed")
        self.assertEqual(worker.wait(), EXIT_STATE)
        self.assertIn("space", worker.last_line().lower())
        (self.disk / "filler").unlink()
        worker.start_ready()
        ledger.send(1000)
        ledger.verify(self)


if __name__ == "__main__":
    main()
