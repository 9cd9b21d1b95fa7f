"""Events in, lists out: what a client in another language sees who has nothing but schemas/*.avsc."""

import json
import socket
import struct
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import (SCHEMAS, Case, Schema, by_version, checksum, click, compacted, confluent, decode,
                     decode_lists, event, item, list_items, main, now_ms, purchase, rating, schema_text, single_object)

ITEMS = 12


def murmur2(key):
    """The hash that Java clients partition by (Kafka, Utils.murmur2)."""
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    state = 0x9747B28C ^ len(key)
    whole = len(key) & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(key[at:at + 4], "little") * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        state = state * multiplier & mask ^ word
    if len(key) > whole:
        state = (state ^ int.from_bytes(key[whole:], "little")) * multiplier & mask
    state = (state ^ state >> 13) * multiplier & mask
    return state ^ state >> 15


def java_partition(key, partitions):
    return (murmur2(key) & 0x7FFFFFFF) % partitions


class ListsCase(Case):
    """Every list holds all items that may be in it: k is larger than the catalogue."""

    settings = {"ranking.k": 50, "registry.ids": "12=Click,13=Rating,14=Purchase"}

    def start(self, settings=None):
        self.freshet = self.app({**self.settings, **(settings or {})})
        self.items = self.freshet.announce(ITEMS)
        self.worker = self.freshet.service().start_ready()
        self.await_listed(ITEMS)
        self.lists = self.freshet.tail("recommendations")
        self.addCleanup(self.lists.close)

    def await_listed(self, count):
        self.worker.await_metric("freshet_items_listed", count)

    def list_of(self, version):
        """The list with a version, as soon as it is there."""
        found = []

        def has(records):
            self.worker.expect_running()
            found[:] = [entry for entry in decode_lists(records)
                        if (entry["version_partition"], entry["version_offset"]) == version]
            return found

        self.lists.until(has, f"list {version}")
        return found[0]


class EventsInListsOut(ListsCase):
    def test_three_types_in_both_framings(self):
        self.start({"ranking.diversity": 0})  # else a list is not in the order of its scores
        ids = {"Click": 12, "Rating": 13, "Purchase": 14}
        more = {"Click": {"dwell_s": 3.5}, "Rating": {"rating": 5.0}, "Purchase": {"quantity": 2, "price": 9.5}}
        for name, schema in ((name, SCHEMAS[name]) for name in ids):
            for framing in ("single-object", "confluent"):
                with self.subTest(type=name, framing=framing):
                    user = f"{name}-{framing}"
                    record = event(user, "item-3", **more[name])
                    value = confluent(ids[name], schema, record) if framing == "confluent" else single_object(schema, record)
                    entry = self.list_of(self.freshet.put("events", user, value))
                    self.assertEqual(entry["user_id"], user)
                    self.assertIsNone(entry["request_id"])
                    self.assertEqual(entry["event_occurred_at"].timestamp() * 1000, record["occurred_at"])
                    self.assertLess(abs(entry["generated_at"].timestamp() * 1000 - now_ms()), 60000)
                    self.assertCountEqual(list_items(entry), set(self.items) - {"item-3"})
                    scores = [recommendation["score"] for recommendation in entry["items"]]
                    self.assertEqual(scores, sorted(scores, reverse=True))
        counted = {name: self.worker.metric(f'freshet_events_total{{type="{name.lower()}"}}') for name in ids}
        self.assertEqual(counted, {"Click": 2, "Rating": 2, "Purchase": 2})

    def test_version_is_the_newest_event_and_partition_is_javas(self):
        self.start()
        self.assertEqual(murmur2(b"21"), -973932308 % 2**32)  # from Kafka's own tests
        users = [f"user-{i}" for i in range(40)] + ["ü", "a", "ab", "abc", "долгое имя", "x" * 512]
        newest = {user: [self.freshet.put("events", user, click(user, f"item-{i}")) for i in range(2)][-1]
                  for user in users}
        for version in newest.values():
            self.list_of(version)
        for record in self.lists.records:
            self.assertEqual(record.partition, java_partition(record.key, 4), record.key)
            self.assertEqual(record.key.decode(), decode("RecommendationList", record.value)["user_id"])
        kept = by_version(decode_lists(self.lists.records))
        self.assertEqual({user: (kept[user]["version_partition"], kept[user]["version_offset"]) for user in users}, newest)

    def test_confluent_framing_out(self):
        self.start({"registry.framing": "confluent", "registry.ids": "12=Click,30=RecommendationList,31=UserState"})
        self.freshet.put("events", "user", click("user", "item-0"))
        self.lists.until(lambda records: records, "a list")
        value = self.lists.records[0].value
        self.assertEqual(value[:5], bytes([0, 0, 0, 0, 30]))
        self.assertEqual(SCHEMAS["RecommendationList"].read(value[5:])["user_id"], "user")

    def test_reasons_sum_to_the_score(self):
        self.start({"ranking.explain": "on"})
        for user in range(3):
            for i in range(4):
                version = self.freshet.put("events", f"user-{user}", purchase(f"user-{user}", f"item-{i}"))
        entry = self.list_of(version)
        self.assertEqual(len(entry["items"]), ITEMS - 4)
        for recommendation in entry["items"]:
            reasons = recommendation["reasons"]
            self.assertTrue(reasons, recommendation)
            total = sum(reason["score"] for reason in reasons)
            self.assertAlmostEqual(total, recommendation["score"], delta=1e-4 * max(1, abs(total)))
            for reason in reasons:
                self.assertIn(reason["item_id"], ["", "item-0", "item-1", "item-2", "item-3"])

    def test_no_reasons_when_not_asked_for(self):
        self.start({"ranking.explain": "off"})
        entry = self.list_of(self.freshet.put("events", "user", click("user", "item-0")))
        self.assertEqual([recommendation["reasons"] for recommendation in entry["items"]], [[]] * (ITEMS - 1))

    def test_committed_delivery(self):
        # Without texts: users of items that are like one whose text has just come get a second list.
        self.start({"app.delivery": "committed", "text.encoder": "none"})
        version = [self.freshet.put("events", f"user-{i}", click(f"user-{i}", "item-0")) for i in range(20)][-1]
        self.list_of(version)
        self.freshet.settle()
        committed = self.freshet.read("recommendations")
        self.assertEqual(len(committed), 20)
        self.assertEqual(self.freshet.read("recommendations", committed=False), committed)
        # A transaction leaves a marker after its records: the next offset is not the next number.
        for partition in {record.partition for record in committed}:
            offsets = [record.offset for record in committed if record.partition == partition]
            self.assertGreater(self.lists.end_of(partition), max(offsets) + 1)


def codecs(bootstrap, topic):
    """The codecs of the batches in partition 0: 0 is none, 3 is lz4. Clients do not tell, so this is a Fetch request (v4)."""
    def text(word):
        return struct.pack(">h", len(word)) + word.encode()

    request = (struct.pack(">hhi", 1, 4, 7) + text("test") + struct.pack(">iiiibi", -1, 100, 1, 1 << 20, 0, 1) + text(topic) +
               struct.pack(">iiqi", 1, 0, 0, 1 << 20))
    host, port = bootstrap.split(",")[0].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as broker:
        broker.sendall(struct.pack(">i", len(request)) + request)
        answer = broker.makefile("rb")
        body = answer.read(struct.unpack(">i", answer.read(4))[0])
    at = 4 + 4 + 4 + 2 + len(topic) + 4  # correlation, throttle, topics, name, partitions
    error, _, _, aborted = struct.unpack_from(">hqqi", body, at + 4)
    assert error == 0, error
    batches, found = body[at + 4 + 22 + 16 * max(aborted, 0) + 4:], set()
    while len(batches) >= 23:
        attributes, = struct.unpack_from(">h", batches, 21)
        if not attributes & 32:  # no marker
            found.add(attributes & 7)
        batches = batches[12 + struct.unpack_from(">i", batches, 8)[0]:]
    return found


class Compression(ListsCase):
    """Some clients know no lz4, so no list has it, whatever its delivery is."""

    def send(self, settings):
        self.start(settings)
        for i in range(20):
            version = self.freshet.put("events", f"user-{i}", click(f"user-{i}", "item-0"))
        self.list_of(version)
        self.freshet.settle()
        topics = [self.freshet.topics[name] for name in ("recommendations", "item_deltas", "users")]
        return [codecs(self.freshet.bootstrap, topic) for topic in topics]

    def test_fast_delivery(self):
        self.assertEqual(self.send({"app.delivery": "fast"}), [{0}, {0}, {3}])

    def test_committed_delivery(self):
        self.assertEqual(self.send({"app.delivery": "committed"}), [{0}, {0}, {3}])

    def test_the_user_decides(self):
        lists, deltas, users = self.send({"app.delivery": "committed", "kafka.compression.codec": "gzip"})
        self.assertEqual([lists, deltas, users], [{1}, {1}, {1}])


class Evolution(ListsCase):
    """Producers may add defaulted fields, leave defaulted ones out, and reorder."""

    def setUp(self):
        super().setUp()
        self.older = Schema(self.edited("Click", lambda fields: [f for f in fields if f["name"] != "dwell_s"]))
        self.newer = Schema(self.edited("Click", lambda fields: [
            {"name": "device", "type": ["null", "string"], "default": None},
            *reversed(fields),
            {"name": "path", "type": {"type": "array", "items": "string"}, "default": []}]))
        self.described = Schema(self.edited("Item", lambda fields: [
            {**f, "name": "description"} if f["name"] == "text" else f for f in fields]))

    @staticmethod
    def edited(name, edit):
        schema = json.loads(schema_text(name))
        schema["fields"] = edit([{k: v for k, v in field.items() if k != "aliases"} for field in schema["fields"]])
        return json.dumps(schema)

    def start_with_folder(self, settings):
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name in ("older", "newer", "described"):
            (self.folder / f"{name}.avsc").write_text(getattr(self, name).text)
        self.start({key: value.format(folder=folder.name) for key, value in settings.items()})

    def check(self, frame):
        older = event("old", "item-1")
        newer = {**event("new", "item-2", dwell_s=2.0), "device": "phone", "path": ["a", "b"]}
        for user, schema, record in (("old", self.older, older), ("new", self.newer, newer)):
            entry = self.list_of(self.freshet.put("events", user, frame(schema, record)))
            self.assertCountEqual(list_items(entry), set(self.items) - {record["item_id"]})
        self.assertEqual(self.freshet.read("dead_letters"), [])

    def test_by_fingerprint(self):
        self.start_with_folder({"registry.folder": "{folder}"})
        self.check(single_object)
        described = {"item_id": "described", "title": "", "description": "by its older name", "categories": [],
                     "available": True, "expires_at": None, "vector": b""}
        self.freshet.put("items", "described", single_object(self.described, described))
        self.await_listed(ITEMS + 1)

    def test_by_id(self):
        self.start_with_folder({"registry.ids": "21={folder}/older.avsc,22={folder}/newer.avsc"})
        self.check(lambda schema, record: confluent(21 if schema is self.older else 22, schema, record))


class WhatIsInAList(ListsCase):
    def test_nothing_seen(self):
        self.start()
        for count, name in enumerate(self.items[:6], 1):
            make = (click, purchase, lambda user, item: rating(user, item, 1.0))[count % 3]
            entry = self.list_of(self.freshet.put("events", "user", make("user", name)))
            self.assertCountEqual(list_items(entry), self.items[count:])

    def test_nothing_unavailable(self):
        self.start()
        self.freshet.send("items", "item-1", item("item-1", available=False))
        self.freshet.send("items", "item-2", item("item-2", expires_at=now_ms() - 1000))
        self.freshet.send("items", "item-3", None)
        self.freshet.send("items", "item-4", item("item-4", expires_at=now_ms() + 3600 * 1000))
        self.freshet.send("items", "new", item("new"))
        self.freshet.flush()
        self.await_listed(ITEMS - 3 + 1)
        gone = {"item-0", "item-1", "item-2", "item-3"}
        entry = self.list_of(self.freshet.put("events", "user", click("user", "item-0")))
        self.assertCountEqual(list_items(entry), set(self.items) - gone | {"new"})
        self.assertIn("item-4", list_items(entry))
        self.freshet.put("items", "item-4", item("item-4", expires_at=now_ms() + 1500))
        self.await_listed(ITEMS - 4 + 1)  # item-4 has expired by itself
        entry = self.list_of(self.freshet.put("events", "user", click("user", "item-0")))
        self.assertCountEqual(list_items(entry), set(self.items) - gone - {"item-4"} | {"new"})
        self.freshet.put("items", "item-3", item("item-3"))  # and one that comes back
        self.await_listed(ITEMS - 3 + 1)
        entry = self.list_of(self.freshet.put("events", "user", click("user", "item-0")))
        self.assertIn("item-3", list_items(entry))

    def test_what_was_withdrawn_stays_so_after_a_restart(self):
        self.start()
        self.freshet.put("items", "item-3", None)
        self.await_listed(ITEMS - 1)
        self.worker.kill()
        self.worker.start_ready()
        self.await_listed(ITEMS - 1)
        entry = self.list_of(self.freshet.put("events", "user", click("user", "item-0")))
        self.assertCountEqual(list_items(entry), set(self.items) - {"item-0", "item-3"})


class UsersAndDuplicates(ListsCase):
    def test_tombstone_erases(self):
        self.start()
        self.list_of(self.freshet.put("events", "user", purchase("user", "item-0")))
        self.list_of(self.freshet.put("events", "other", purchase("other", "item-1")))
        self.freshet.put("events", "user", None)
        self.lists.until(lambda records: any(r.key == b"user" and r.value is None for r in records), "a null list")
        self.freshet.settle()
        self.assertEqual(list(self.freshet.users()), ["other"])
        self.assertEqual(set(compacted(self.freshet.read("recommendations"))), {b"other"})
        self.worker.kill()  # and it is not brought back by a restore
        self.worker.start_ready()
        again = click("user", "item-5", event_id="again")
        entry = self.list_of(self.freshet.put("events", "user", again))
        self.assertIn("item-0", list_items(entry))
        self.freshet.settle()
        state = self.freshet.users()["user"]
        self.assertEqual((state["events"], state["event_checksum"] % 2**64), (1, checksum(["again"])))

    def test_duplicates_are_learned_once(self):
        self.start()
        first = purchase("user", "item-0", event_id="one")
        self.list_of(self.freshet.put("events", "user", first))
        version = self.freshet.put("events", "user", purchase("user", "item-1", event_id="two"))
        self.list_of(version)
        self.freshet.settle()
        self.freshet.put("events", "user", first)
        self.freshet.settle()
        self.worker.await_metric("freshet_events_duplicate_total", 1)
        self.assertEqual(self.worker.metric("freshet_events_conflicting_total"), 0)
        self.freshet.put("events", "user", purchase("user", "item-2", event_id="one"))  # the number of an order?
        self.worker.await_metric("freshet_events_conflicting_total", 1)
        self.assertIn("warn events.conflicting", self.worker.log())
        self.freshet.settle()
        self.worker.kill()  # the window is part of the state
        self.worker.start_ready()
        self.freshet.put("events", "user", first)
        self.freshet.settle()
        self.worker.await_metric("freshet_events_duplicate_total", 1)
        state = self.freshet.users()["user"]
        self.assertEqual((state["events"], state["event_checksum"] % 2**64), (2, checksum(["one", "two"])))
        self.assertEqual((state["partition"], state["newest_offset"]), version)


if __name__ == "__main__":
    main()
