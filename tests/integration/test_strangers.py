"""What strangers may write to `events`, `items` and `requests`: whatever it is, the service goes on, and each record is
learned, answered or a dead letter, exactly once. The records are valid frames with every field at its extremes, in
pairs; the same with flipped, lost or added bytes; garbage; and very large ones.

STRANGERS_RECORDS: how many (default 10000). STRANGERS_SEED: which ones (default 1). scripts/fuzz broker runs a million with a
seed of its own.
"""

import collections
import itertools
import math
import os
import random
import struct
import time

import xxhash
from harness import (BOOTSTRAP, EXIT_OK, PATIENCE_S, SCHEMAS, Case, click, item, main, now_ms, purchase, single_object, until)
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

RECORDS = int(os.environ.get("STRANGERS_RECORDS", 10000))
SEED = int(os.environ.get("STRANGERS_SEED", 1))
MAX_ITEMS = 300
NOW_MS = now_ms()
DAY_MS = 24 * 3600 * 1000
LONGS = [-2**63, -2**53, -1, 0, 1, 2**31, 2**32 + 1, 2**53 + 1, 2**63 - 1]
INTS = [-2**31, -1, 0, 1, 2, 1000, 1001, 10**6, 2**31 - 1]
FLOATS = [-math.inf, -3.4e38, -1.0, -1e-45, -0.0, 0.0, 1e-45, 1e-38, 0.5, 1.0, 3.4e38, math.inf, math.nan]


def numbers(values, least, most):
    """Each value, and whether it is within the bounds."""
    return [(value, least <= value <= most) for value in values]


# Values of a field: (value, whether a record with it can be used: True, False, or None when it depends).
IDS = [("i", True), ("é" * 256, True), ("🙂", True), ("\u202eabc", True), ("%s%n%s", True), ("../../etc", True),
       ("x" * 512, True), ("x" * 513, False), ("é" * 257, False), ("", False), ("a\nb", False), ("\0", False),
       ("\0d12345678", False), ("a\x7f", False), ("x" * 70000, False)]
NO_VALUES = ("undefined", "NULL", " ", "\u200b")  # in events; a whole record speaks for an item of such a name
NAMES = [*IDS, *((name, False) for name in NO_VALUES), ("Null", True)]
TEXTS = [("", True), ("word", True), ("\0\1\2", True), ("e" + "\u0301" * 500, True), ("ﷺ" * 1000, True), ("🙂" * 1000, True),
         ("\ufeff\u200b\u202e", True), ("x" * 100000, True), ("a " * 50000, True)]
TIMES = [(value, False) for value in LONGS] + [(NOW_MS, True), (NOW_MS // 1000, False), (NOW_MS * 1000, False),
                                             (NOW_MS + 400 * DAY_MS, False), (NOW_MS - 400 * DAY_MS, True)]
EXPIRIES = [(value, value >= 631152000000) for value in LONGS if value != 0] + [(None, True), (0, None)]
# The day a thing was made: 1 says before 1970. What is smaller than 2200 in seconds is no time in ms.
MARKS = [(value, value == 1) for value in LONGS if value != 0] + [
    (NOW_MS, True), (NOW_MS // 1000, False), (NOW_MS * 1000, False), (480000000000, True), (None, True), (0, None)]
IDS_OF_ITEM = [([], True), (["c"], True), (["c"] * 64, True), ([f"c{i}" for i in range(65)], False), ([""], False),
               (["x" * 512] * 64, True), (["x" * 513], False), (["a\nb"], False)]
VECTORS = [(None, True), (b"", True), (b"\0", False), (bytes(16), True), (bytes(4 * 4096), True), (bytes(4 * 4097), False)]
VECTORS += [(struct.pack("<3f", value, 1.0, -value), True) for value in (1e-45, 1e-38, 3.4e38)]
VECTORS += [(struct.pack("<16f", *[value] * 16), True) for value in (1e-45, 3.4e38, -3.4e38)]
VECTORS += [(struct.pack("<2f", 1.0, value), False) for value in (math.inf, -math.inf, math.nan)]
ATTRIBUTES = [({}, True), ({"brand": "b"}, True), ({f"a{i}": "v" for i in range(64)}, True), ({"a": ""}, True),
              ({f"a{i}": "v" for i in range(65)}, False), ({"": "v"}, False), ({"a": "x" * 513}, False), ({"a\n": "v"}, False)]
ARRAYS = [(ids, None) for ids in ([], ["i"], [""], ["x" * 513], ["item-1"] * 1000, ["item-1"] * 1001, ["\0"],
                                  [f"item-{i}" for i in range(1000)])]
WEEK_S = 7 * 24 * 3600
EVENT = {"event_id": NAMES, "user_id": NAMES, "item_id": NAMES, "occurred_at": TIMES}

FIELDS = {
    "Click": {**EVENT, "dwell_s": numbers([*FLOATS, WEEK_S, WEEK_S + 1], 0, WEEK_S)},
    "Rating": {**EVENT, "rating": numbers([*FLOATS, 5.0, 5.5], 0.5, 5)},
    "Purchase": {**EVENT, "quantity": numbers([*INTS, 10**6 + 1], 1, 10**6),
                 "price": numbers([*FLOATS, 5e-324, 1.7e308, 1e12, 1.0001e12], 0, 1e12)},
    "Feedback": {**EVENT, "kind": [(kind, True) for kind in SCHEMAS["Feedback"].parsed["fields"][4]["type"]["symbols"]],
                 "after_s": numbers([*FLOATS, WEEK_S, WEEK_S + 1], 0, WEEK_S), "place": numbers(INTS, -1, 10**6),
                 "list_version": numbers(LONGS, -1, 2**63)},
    "Item": {"item_id": [*IDS, *((name, True) for name in NO_VALUES)], "title": TEXTS, "text": TEXTS, "categories": IDS_OF_ITEM,
             "available": [(False, True), (True, True)], "expires_at": EXPIRIES, "vector": VECTORS, "created_at": MARKS,
             "attributes": ATTRIBUTES},
    "RecommendationRequest": {
        "request_id": IDS, "user_id": [(user, None) for user, _ in IDS], "requested_at": [(t, None) for t in LONGS],
        "k": [(k, None) for k in INTS], "context": [(text, None) for text, _ in TEXTS], "context_items": ARRAYS,
        "include_categories": ARRAYS, "exclude_categories": ARRAYS, "exclude_items": ARRAYS,
        "diversity": [(x, None) for x in FLOATS], "exploration": [(x, None) for x in FLOATS],
        "explain": [(False, None)], "min_age_s": [(x, None) for x in LONGS],
        "kind": [(kind, None) for kind in ("PERSONAL", "SIMILAR", "POPULAR", "NEWEST")]},
}
TOPIC = {"Item": "items", "RecommendationRequest": "requests"}  # the rest: events
KEY = {"Item": "item_id"}  # the rest: user_id
TOPICS = ("events", "items", "requests")
KINDS = {"pair": 50, "field": 10, "mutated": 20, "garbage": 8, "tombstone": 2, "headers": 4, "time": 2, "good": 4}

Sent = collections.namedtuple("Sent", "kind what usable hash")


class Stranger:
    """Makes records, each with what must become of it. All chance comes from the seed."""

    def __init__(self, app, seed):
        self.app = app
        self.random = random.Random(seed)
        self.number = 0
        self.pairs = self.all_pairs()

    def all_pairs(self):
        """Every value of a field together with every value of another field, in any order."""
        pairs = []
        for name, fields in FIELDS.items():
            for one, other in itertools.combinations(fields, 2):
                pairs += [(name, ((one, a), (other, b))) for a in fields[one] for b in fields[other]]
        self.random.shuffle(pairs)
        return itertools.cycle(pairs)

    def base(self, name):
        """A record that can be used."""
        chance = self.random
        self.number += 1
        if name == "Item":
            return {"item_id": f"item-{chance.randrange(1000)}", "title": "a title", "text": f"thing {self.number % 50}",
                    "categories": ["c"], "available": True, "expires_at": None, "vector": None, "created_at": None,
                    "attributes": {}}
        user = f"user-{chance.randrange(500)}"
        if name == "RecommendationRequest":
            return {"request_id": f"request-{self.number}", "user_id": user, "requested_at": 0, "k": 10, "context": "",
                    "context_items": [], "include_categories": [], "exclude_categories": [], "exclude_items": [],
                    "diversity": 0.0, "exploration": 0.0, "explain": True, "min_age_s": 0, "kind": "PERSONAL"}
        return {"event_id": f"event-{self.number}", "user_id": user, "item_id": f"item-{chance.randrange(1000)}",
                "occurred_at": NOW_MS, "dwell_s": 1.0, "rating": 3.0, "quantity": 1, "price": 1.0, "kind": "SKIP",
                "after_s": 1.0, "place": -1, "list_version": -1}

    def frame(self, name, changes):
        """(topic, key, value, whether it can be used) of a record with some fields changed."""
        record = self.base(name)
        usable = None if name == "RecommendationRequest" else True
        for field, (value, can_be_used) in changes:
            record[field] = value
            if usable is not False:
                usable = can_be_used if can_be_used is not True else usable
        if not record.get("request_id", "r"):
            usable = False  # nobody can be told
        self.last = f"{name} " + ", ".join(f"{field}={str(value)[:40]!r}" for field, (value, _) in changes)
        key = record[KEY.get(name, "user_id")]
        fields = {field: record[field] for field in FIELDS[name]}
        return TOPIC.get(name, "events"), key, single_object(SCHEMAS[name], fields), usable

    def mutate(self, value):
        """Some bytes flipped, lost, added or repeated."""
        data = bytearray(value)
        for _ in range(self.random.choice([1, 1, 1, 2, 5])):
            place = self.random.randrange(len(data) + 1)
            how = self.random.randrange(5)
            if how == 0 and place < len(data):
                data[place] ^= 1 << self.random.randrange(8)
            elif how == 1:
                del data[place:]
            elif how == 2:
                data[place:place] = self.random.randbytes(self.random.choice([1, 2, 8]))
            elif how == 3 and place < len(data):
                data[place] = self.random.choice([0, 1, 0x7f, 0x80, 0xff])
            else:
                data[place:place] = data[place:place + 64]
        return bytes(data)

    def no_key(self, topic):
        """The broker takes no record without a key for a compacted topic."""
        return b"" if topic == "items" else None

    def headers(self):
        chance, topics = self.random, self.app.topics
        return [
            [("__value_schema_id", b"\1" + chance.randbytes(chance.choice([0, 15, 16, 17])))],
            [("__value_schema_id", None)],
            [("kafka_correlationId", chance.randbytes(chance.choice([0, 1, 4096, 4097])))],
            [("kafka_replyTopic", chance.choice([*topics.values(), "", "x" * 300, "a/b", "__consumer_offsets", "\0"]).encode())],
            [(f"h{i}", b"x" * 10) for i in range(500)],
            [("", b""), ("__connect.errors.topic", b"forged"), ("h", None)],
        ][chance.randrange(6)]

    def make(self, kind):
        """(topic, key, value, usable, more arguments of the producer)."""
        chance = self.random
        name = chance.choice(list(FIELDS))
        if kind == "pair":
            name, changes = next(self.pairs)
            return *self.frame(name, changes), {}
        if kind == "field":  # and any number of others
            fields = chance.sample(list(FIELDS[name]), chance.randrange(1, len(FIELDS[name]) + 1))
            return *self.frame(name, [(field, chance.choice(FIELDS[name][field])) for field in fields]), {}
        if kind == "good":
            return *self.frame("Click", [("user_id", (f"leaver-{chance.randrange(20)}", True))]), {}
        topic, key, value, usable = self.frame(name, [])
        if kind == "garbage":
            head = chance.choice([b"", b"\xc3\x01", b"\0", b"\0\0\0\0\1", value[:10], value[:20]])
            return topic, key, head + chance.randbytes(chance.choice([0, 1, 8, 100, 5000])), None, {}
        if kind == "tombstone":
            # Nobody else uses these keys: an erasure takes the dead letters of its user along that wait for the commit.
            key = chance.choice([f"leaver-{chance.randrange(20)}", b"nobody\xff", self.no_key(topic), b"", "x" * 513])
            return topic, key, None, None, {}
        if kind == "headers":
            return topic, key, value, None, {"headers": self.headers()}
        if kind == "time":  # the record's own, and often that of the event
            times = [1, NOW_MS // 1000, NOW_MS + 400 * DAY_MS, 2**53, 2**62, 2**63 - 1]
            name = chance.choice(["Click", "Rating", "Purchase", "Feedback"])
            own = chance.choice(times)
            topic, key, value, _ = self.frame(name, [("occurred_at", (chance.choice([NOW_MS, own, chance.choice(times)]), None))])
            return topic, key, value, None, {"timestamp": own}
        assert kind == "mutated"
        key = chance.choice([key, key, key, self.no_key(topic), b"", self.mutate(key.encode())])
        return topic, key, self.mutate(value), None, {}

    def huge(self, name):
        """A record near the limit of its topic."""
        size = self.random.choice([10**6, 2 * 10**6, 3 * 10**6])
        field = {"Item": "text", "RecommendationRequest": "context"}.get(name, "item_id")
        return *self.frame(name, [(field, ("x" * size, None))]), {}


class Strangers(Case):
    def publish(self, app, count):
        """Sends the records. Returns {place: Sent} of all that the broker took, and how many it refused."""
        stranger, sent, refused = Stranger(app, SEED), {}, 0

        def note(kind, usable, value):
            what = "" if usable is None else stranger.last
            mark = Sent(kind, what, usable, xxhash.xxh3_64_intdigest(value or b""))

            def delivered(error, message):
                nonlocal refused
                if error is not None:
                    assert error.code() == KafkaError.MSG_SIZE_TOO_LARGE, error
                    refused += 1
                    return
                sent[message.topic(), message.partition(), message.offset()] = mark

            return delivered

        kinds = stranger.random.choices(list(KINDS), list(KINDS.values()), k=count)
        for number, kind in enumerate(kinds):
            if number % 2000 == 1999:
                kind = "huge"
                topic, key, value, usable, more = stranger.huge(stranger.random.choice(list(FIELDS)))
            else:
                topic, key, value, usable, more = stranger.make(kind)
            app.producer.produce(app.topics[topic], key=key, value=value, on_delivery=note(kind, usable, value), **more)
            app.producer.poll(0)
            if number % 5000 == 0:
                app.expect_running()
                app.flush()
        app.flush()
        return sent, refused

    def prepare_topics(self, app):
        """As on clusters before Kafka 4, a record may have any time of its own; and the cleaner takes none while we count."""
        settings = {"message.timestamp.after.max.ms": 2**63 - 1, "min.compaction.lag.ms": DAY_MS}
        entries = [ConfigEntry(name, str(value), incremental_operation=AlterConfigOpType.SET)
                   for name, value in settings.items()]
        wanted = [ConfigResource(ResourceType.TOPIC, app.topics[topic], incremental_configs=entries) for topic in TOPICS]
        admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
        for change in admin.incremental_alter_configs(wanted).values():
            change.result(PATIENCE_S)

    def letters(self, app, sent):
        """{topic: number of dead letters}; each is of a record that was sent, once, with its value."""
        consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "letters", "enable.auto.commit": False,
                             "enable.partition.eof": True, "isolation.level": "read_committed"})
        topic = app.topics["dead_letters"]
        partitions = list(consumer.list_topics(topic, PATIENCE_S).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
        seen, ended = set(), set()
        while len(ended) < len(partitions):
            for message in consumer.consume(10000, 0.2):
                if message.error() is not None:
                    self.assertEqual(message.error().code(), KafkaError._PARTITION_EOF)
                    ended.add(message.partition())
                    continue
                headers = dict(message.headers()[-20:])
                place = (headers["__connect.errors.topic"].decode(), int(headers["__connect.errors.partition"]),
                         int(headers["__connect.errors.offset"]))
                self.assertNotIn(place, seen, "a second dead letter")
                self.assertIn(place, sent)
                seen.add(place)
                if "freshet.original.value.size" not in headers and sent[place].kind != "headers":
                    self.assertEqual(xxhash.xxh3_64_intdigest(message.value() or b""), sent[place].hash, place)
        consumer.close()
        wrong = [(place, mark) for place, mark in sent.items() if mark.usable is not None and mark.usable == (place in seen)]
        self.assertEqual(wrong[:5], [], f"{len(wrong)} records: usable, and yet dead letters, or the other way round")
        return collections.Counter(topic for topic, _, _ in seen)

    def check_counts(self, app, worker, sent):
        """Every record is in one of the counts."""
        count = collections.Counter(topic for topic, _, _ in sent)
        letters = self.letters(app, sent)
        metrics = worker.metrics()
        self.assertEqual(metrics["freshet_aborts_total"], 0)
        self.assertEqual(metrics["freshet_dead_letters_total"], sum(letters.values()))
        applied = sum(value for series, value in metrics.items() if series.startswith("freshet_events_total"))
        events = app.topics["events"]
        self.assertEqual(applied + metrics["freshet_events_duplicate_total"] + metrics["freshet_users_erased_total"] +
                         letters[events], count[events])
        self.assertEqual(metrics["freshet_item_records_total"], count[app.topics["items"]])
        print(f"{sum(count.values())} records: {applied:.0f} events learned, {metrics['freshet_events_duplicate_total']:.0f} "
              f"duplicates, {sum(letters.values())} dead letters, {metrics['freshet_answers_total']:.0f} answers; "
              f"seed {SEED}", flush=True)
        silent = sum(mark.kind == "tombstone" for (topic, _, _), mark in sent.items() if topic == app.topics["requests"])
        requests = app.topics["requests"]
        self.assertEqual(metrics["freshet_answers_total"] + letters[requests] + silent, count[requests])
        return metrics["freshet_answers_total"]

    def test_each_record_is_used_or_a_dead_letter(self):
        # After a rebalance, requests that waited are read again. So the session is long, and each record is read once.
        app = self.app({"model.max_items": MAX_ITEMS, "log.level": "warn", "requests.max_age_ms": 5000,
                        "kafka.session.timeout.ms": 30000})
        self.prepare_topics(app)
        worker = app.service().start_ready()
        honest = {f"honest-{n}": click(f"honest-{n}", "item-1", event_id=f"of-honest-{n}") for n in range(40)}
        first = [app.put("events", user, value) for user, value in honest.items()]
        sent, refused = self.publish(app, RECORDS)
        self.assertEqual(len(sent) + refused, RECORDS)
        again = [app.put("events", user, value) for user, value in honest.items()]  # within the dedup window
        sent |= {(app.topics["events"], *place): Sent("again", "", True, 0) for place in first + again}
        within_s = max(60, RECORDS // 500)
        until(lambda: app.expect_running() or all(self.lag(app, topic) == 0 for topic in TOPICS),
              "all records are read", within_s)
        answers = self.check_counts(app, worker, sent)
        self.assertEqual({app.users()[user]["events"] for user in honest}, {1})
        self.assertEqual(len(app.read("replies")), answers)

        # What they left in the state topics ends no start either, with the folder and without it.
        self.assertEqual(worker.stop(), EXIT_OK)
        for state in (worker.state, app.folder / "another"):
            again = app.service(f"again-{state.name}", state=state).start_ready()
            event_id = app.put("events", "somebody", purchase("somebody", "item-1"))
            app.settle()
            self.assertIn("somebody", app.await_lists(["somebody"]), event_id)
            self.assertEqual(again.stop(), EXIT_OK)

    def lag(self, app, topic):
        """Records of a topic that the group has not committed; None: not known now."""
        consumer, name = app.consumer(), app.topics[topic]
        try:
            partitions = consumer.list_topics(name, PATIENCE_S).topics[name].partitions
            return sum(consumer.get_watermark_offsets(TopicPartition(name, place.partition), PATIENCE_S)[1] - max(0, place.offset)
                       for place in consumer.committed([TopicPartition(name, p) for p in partitions], PATIENCE_S))
        finally:
            consumer.close()


if __name__ == "__main__":
    main()
