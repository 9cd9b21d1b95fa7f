"""Requests in, replies out: what a client in another language sees who has nothing but schemas/*.avsc."""

import json
import threading
import uuid

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType
from harness import (ROOT, SCHEMAS, Case, Schema, click, decode, item, list_items, main, make_producer, now_ms, purchase,
                     schema_text, single_object, until)

ITEMS = 30
SHOES = [f"item-{i}" for i in range(0, ITEMS, 3)]
TEXTS = {1: "red wedding dress with lace", 2: "white wedding shoes", 4: "cordless drill", 5: "garden hose"}


def request(user, request_id, **more):
    base = {"request_id": request_id, "user_id": user, "requested_at": 0, "k": 10, "context": "", "context_items": [],
            "include_categories": [], "exclude_categories": [], "exclude_items": [], "diversity": 0.0,
            "exploration": 0.0, "explain": True, "min_age_s": 0, "kind": "PERSONAL"}
    return {**base, **more}


class RequestsCase(Case):
    def start(self, settings=None):
        self.freshet = self.app(settings)
        for i in range(ITEMS):
            self.freshet.send("items", f"item-{i}", self.item(i))
        self.freshet.flush()
        self.worker = self.freshet.service().start_ready()
        self.worker.await_metric("freshet_items_listed", ITEMS)
        self.replies = self.freshet.tail("replies")
        self.addCleanup(self.replies.close)

    def item(self, i, **more):
        age_s = 10 if i % 2 else 100000
        return item(f"item-{i}", **{"text": TEXTS.get(i, f"thing number {i}"), "created_at": now_ms() - age_s * 1000,
                                    "categories": ["shoes"] if i % 3 == 0 else ["other", "sale"], "attributes": {},
                                    **more})

    def learn(self, user, *items):
        for item_id in items:
            self.freshet.put("events", user, purchase(user, item_id))
        self.freshet.settle()

    def await_reply(self, request_id):
        found = []

        def has(records):
            self.worker.expect_running()
            found[:] = [r for r in records if r.key == request_id.encode()]
            return found

        self.replies.until(has, f"a reply to {request_id}")
        self.assertEqual(len(found), 1)
        entry = decode("RecommendationList", found[0].value)
        self.assertEqual(entry["request_id"], request_id)
        return entry, found[0]

    def ask(self, user, key=None, headers=None, **more):
        request_id = str(uuid.uuid4())
        value = single_object(SCHEMAS["RecommendationRequest"], request(user, request_id, **more))
        self.freshet.send("requests", (user or None) if key is None else key, value, headers=headers or [])
        return self.await_reply(request_id)[0]

    def check_reasons(self, entry):
        for recommendation in entry["items"]:
            total = sum(reason["score"] for reason in recommendation["reasons"])
            self.assertAlmostEqual(total, recommendation["score"], delta=1e-4 * max(1, abs(total)))


class Answers(RequestsCase):
    def test_a_known_and_an_unknown_user(self):
        self.start()
        self.learn("ann", "item-1", "item-7")
        known = self.ask("ann", k=100)
        self.assertEqual(known["user_id"], "ann")
        self.assertCountEqual(list_items(known), [f"item-{i}" for i in range(ITEMS) if i not in (1, 7)])
        self.assertEqual(known["note"], "")
        self.assertGreaterEqual(known["version_offset"], 1)
        self.check_reasons(known)
        state = self.freshet.users()["ann"]
        self.assertEqual((known["version_partition"], known["version_offset"]), (state["partition"], state["newest_offset"]))
        unknown = self.ask("nobody", k=3, explain=False)
        self.assertEqual(len(unknown["items"]), 3)
        self.assertEqual((unknown["version_partition"], unknown["version_offset"]), (-1, -1))
        self.assertEqual([r["reasons"] for r in unknown["items"]], [[], [], []])
        self.assertNotIn("nobody", self.freshet.users())
        self.assertEqual(self.freshet.users()["ann"]["events"], 2)  # asking teaches nothing

    def test_a_text_leads_and_says_so(self):
        self.start()
        self.learn("ann", "item-4")
        entry = self.ask("ann", context="wedding dress", k=2)
        self.assertCountEqual(list_items(entry), ["item-1", "item-2"])
        for recommendation in entry["items"]:
            self.assertEqual(recommendation["reasons"][0]["kind"], "CONTEXT")
        self.check_reasons(entry)
        self.check_reasons(self.ask("nobody", context="drill", k=30))
        # A made-up word is not read: beside known words it changes nothing, alone it gets a note. Nor after a restart.
        for _ in range(2):
            known, some = self.ask("nobody", context="drill", k=5), self.ask("nobody", context="xqzzv drill blorp", k=5)
            self.assertEqual((known["items"], known["note"]), (some["items"], some["note"]))
            made_up = self.ask("nobody", context="xqzzv blorp", k=5)
            self.assertEqual(made_up["note"], "context is not used: no item's text has a word of it")
            self.assertNotIn("CONTEXT", [r["kind"] for i in made_up["items"] for r in i["reasons"]])
            self.worker.stop()
            self.worker = self.freshet.service().start_ready()

    def test_filters(self):
        self.start()
        self.assertCountEqual(list_items(self.ask("u", k=99, include_categories=["shoes", "nothing"])), SHOES)
        self.assertCountEqual(list_items(self.ask("u", k=99, exclude_categories=["sale"], exclude_items=["item-0", "item-x"])),
                              SHOES[1:])
        old = list_items(self.ask("u", k=99, min_age_s=3600))
        self.assertCountEqual(old, [f"item-{i}" for i in range(0, ITEMS, 2)])
        nothing = self.ask("u", include_categories=["shoes"], exclude_categories=["shoes"])
        self.assertEqual(nothing["items"], [])
        self.assertEqual(nothing["note"], "no item on offer passes the filters")
        nothing = self.ask("u", include_categories=["shoes"], exclude_items=SHOES)
        self.assertEqual(nothing["items"], [])
        self.assertIn("excludes", nothing["note"])

    def test_context_items_lead_and_are_not_in_the_list(self):
        self.start()
        for user in range(8):
            self.learn(f"pair-{user}", "item-10", "item-20")
        entry = self.ask("nobody", context_items=["item-10", "item-unknown"], k=5)
        self.assertEqual(list_items(entry)[0], "item-20")
        self.assertNotIn("item-10", list_items(entry))
        self.assertIn("item-10", [reason["item_id"] for reason in entry["items"][0]["reasons"]])
        self.assertEqual(entry["note"], "context item 'item-unknown' is not known")
        self.check_reasons(entry)

    def test_variety_and_exploration(self):
        self.start()
        self.learn("ann", "item-1")
        entry = self.ask("ann", k=10, diversity=0.7, context="wedding")
        self.assertEqual(len(set(list_items(entry))), 10)
        self.check_reasons(entry)
        explored = [self.ask("ann", k=10, exploration=0.5) for _ in range(5)]
        for entry in explored:
            self.assertEqual(len(set(list_items(entry)) - {"item-1"}), 10)
            self.assertTrue(all(0 < r["propensity"] <= 1 for r in entry["items"]))
            self.check_reasons(entry)
        self.assertGreater(len({tuple(list_items(entry)) for entry in explored}), 1)

    def test_lists_for_nobody(self):
        self.start()
        for user in range(12):
            self.learn(f"pair-{user}", *(["item-10", "item-20"] if user % 3 == 0 else ["item-6"]))
        similar = self.ask("", key=None, kind="SIMILAR", context_items=["item-10"], k=5)
        self.assertEqual(list_items(similar)[0], "item-20")  # and not item-6, which sells best
        self.assertEqual(similar["items"][0]["reasons"][0]["item_id"], "item-10")
        kinds = {reason["kind"] for entry in similar["items"] for reason in entry["reasons"]}
        self.assertLessEqual(kinds, {"TOGETHER", "FOLLOWS", "TEXT", "AUDIENCE"})
        self.check_reasons(similar)
        popular = self.ask("", kind="POPULAR", k=99)
        self.assertEqual((list_items(popular)[0], len(popular["items"])), ("item-6", 3))
        self.assertEqual({r["kind"] for entry in popular["items"] for r in entry["reasons"]}, {"POPULAR"})
        self.assertCountEqual(list_items(self.ask("pair-1", kind="POPULAR", k=9)), ["item-10", "item-20"])  # has item-6
        self.freshet.put("items", "item-2", self.item(2, created_at=now_ms(), attributes={"owner": "ann"}))
        until(lambda: list_items(self.ask("bob", kind="NEWEST", k=1)) == ["item-2"], "item-2 is the newest")
        self.assertNotIn("item-2", list_items(self.ask("ann", kind="NEWEST", k=99)))
        self.assertNotIn("item-2", list_items(self.ask("ann", k=99)))
        unknown = self.ask("", kind="SIMILAR", context_items=["item-unknown"])
        self.assertEqual((unknown["items"], unknown["note"]), ([], "nothing is known about item 'item-unknown'"))

    def test_what_is_withdrawn_is_in_no_answer(self):
        self.start()
        self.freshet.put("items", "item-3", None)
        self.freshet.put("items", "item-4", self.item(4, available=False))
        self.freshet.put("items", "item-5", self.item(5, expires_at=now_ms() - 1000))
        self.worker.await_metric("freshet_items_listed", ITEMS - 3)
        self.assertFalse({"item-3", "item-4", "item-5"} & set(list_items(self.ask("u", k=99, context="drill hose"))))

    def make_topic(self, name, **config):
        admin = AdminClient({"bootstrap.servers": self.freshet.bootstrap})
        admin.create_topics([NewTopic(name, 1, 1, config=config)])[name].result(30)
        return name

    def ask_told(self, user, headers):
        """The first reply for which the cluster has told whether the topic is there, and how many came before. A busy one is
        not asked about each name at once."""
        entries = []

        def is_told():
            entries.append(self.ask(user, headers=headers))
            return "has not told yet" not in entries[-1]["note"]

        until(is_told, "the cluster tells")
        return entries[-1], len(entries) - 1

    def test_reply_topic_and_correlation_id(self):
        prefix = f"replies-{uuid.uuid4().hex}"
        self.start({"requests.reply_topics": f"nobody., {prefix}"})
        topic = self.freshet.topics["mine"] = self.make_topic(f"{prefix}.mine")
        request_id = str(uuid.uuid4())
        value = single_object(SCHEMAS["RecommendationRequest"], request("ann", request_id))
        correlation = b"\x00\x01binary\xff"
        headers = [("kafka_replyTopic", topic.encode()), ("kafka_correlationId", correlation)]
        self.ask_told("ann", [("kafka_replyTopic", topic.encode())])  # the cluster is asked about the topic
        told = self.worker.metric("freshet_replies_undeliverable_total")
        self.freshet.send("requests", "ann", value, headers=headers)
        entry, record = self.await_reply(request_id)
        self.assertEqual(record.headers, [("kafka_correlationId", correlation)])
        self.assertEqual(entry["note"], "")
        mine = self.freshet.tail("mine")
        self.addCleanup(mine.close)
        mine.until(lambda records: any(r.key == record.key for r in records), "the reply in the named topic")
        copies = [r for r in mine.records if r.key == record.key]
        self.assertEqual([(r.value, r.headers) for r in copies], [(record.value, record.headers)])
        events_before = len(self.freshet.read("events"))
        entry = self.ask("ann", headers=[("kafka_replyTopic", topic.encode()), ("kafka_correlationId", b"c" * 5000)])
        self.assertIn("kafka_correlationId", entry["note"])
        compacted = self.make_topic(f"{prefix}.state", **{"cleanup.policy": "compact"})
        self.freshet.topics["compacted"] = compacted
        for bad, word in [(f"{prefix}.not-there", "no such topic"), (self.freshet.topics["events"], "requests.reply_topics"),
                          ("__consumer_offsets", "requests.reply_topics"), (f"{prefix} in valid", "no such topic"),
                          (prefix + "x" * 300, "too long"), (f"{prefix}.item-deltas", "belongs to an app"),
                          (compacted, "belongs to an app")]:
            told += 1
            entry, untold = self.ask_told("ann", [("kafka_replyTopic", bad.encode())])
            told += untold
            self.assertIn(word, entry["note"])
            self.assertEqual(len(entry["items"]), 10)  # answered all the same
        self.assertEqual(self.worker.metric("freshet_replies_undeliverable_total"), told)
        self.assertEqual(len(self.freshet.read("events")), events_before)
        self.assertEqual(self.freshet.read("compacted"), [])

    def test_no_topic_may_be_named_unless_it_is_allowed(self):
        self.start()
        other = self.app()  # another app of the same cluster, whose state would be forged
        entry = self.ask("ann", headers=[("kafka_replyTopic", other.topics["item_deltas"].encode())])
        self.assertIn("requests.reply_topics", entry["note"])
        self.assertEqual(other.read("item_deltas"), [])

    def test_a_reply_that_is_too_large_is_shortened(self):
        self.start({"ranking.k": 5})
        long_ids = [f"item-{i}-".ljust(500, "x") for i in range(300)]
        for i, long_id in enumerate(long_ids):
            self.freshet.send("items", long_id, item(long_id, title=f"thing {i}"))
        self.worker.await_metric("freshet_items_listed", ITEMS + len(long_ids))
        self.learn("ann", *long_ids[:9])
        self.assertEqual(self.worker.metric("freshet_lists_shortened_total"), 0)
        self.limit("replies", 200000)
        entry = until(lambda: (e := self.ask("ann", k=300, explain=True))["note"] and e, "a reply that is shortened")
        self.assertIn("the reasons are left out", entry["note"])
        self.assertTrue(len(entry["items"]) > 280 and not any(i["reasons"] for i in entry["items"]))
        self.limit("replies", 100000)
        entry = until(lambda: not (e := self.ask("ann", k=300))["items"] and e, "a reply without a list")
        self.assertIn("ask for a smaller k", entry["note"])
        self.assertEqual(len(self.ask("ann", k=5)["items"]), 5)
        self.assertGreaterEqual(self.worker.metric("freshet_lists_shortened_total"), 2)
        self.learn("ann", long_ids[20])  # commits go on
        self.freshet.settle()
        self.assertEqual(self.worker.metric("freshet_aborts_total"), 0)

    def limit(self, topic, size):
        name = self.freshet.topics[topic]
        entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
        admin = AdminClient({"bootstrap.servers": self.freshet.bootstrap})
        admin.incremental_alter_configs([resource])[resource].result(30)
        self.worker.stop()
        self.worker.start_ready()  # reads the limits at once, instead of within a minute


class BadRequests(RequestsCase):
    def test_who_can_be_told_is_told(self):
        self.start()
        for more, word in [({"k": 0}, "k 0"), ({"k": -5}, "k -5"), ({"diversity": 1.5}, "diversity"),
                           ({"exploration": float("nan")}, "exploration"), ({"context": "x" * 900000}, "64 KiB"),
                           ({"exclude_items": ["i"] * 1001}, "1000"), ({"context_items": [""]}, "context_items"),
                           ({"requested_at": now_ms() - 3600000}, "requests.max_age_ms"),
                           ({"kind": "SIMILAR"}, "context_items is empty"), ({"kind": "NEWEST", "context": "red"}, "NEWEST"),
                           ({"kind": "POPULAR", "context_items": ["item-1"]}, "POPULAR")]:
            entry = self.ask("ann", **more)
            self.assertEqual(entry["items"], [])
            self.assertIn(word, entry["note"])
        self.assertIn("is not the record's key", self.ask("ann", key="bob")["note"])
        self.assertEqual(len(self.ask("ann", k=2**31 - 1)["items"]), ITEMS)
        loose = json.loads(schema_text("RecommendationRequest"))
        next(f for f in loose["fields"] if f["name"] == "context")["type"] = "bytes"  # the same on the wire
        request_id = str(uuid.uuid4())
        body = Schema(json.dumps(loose)).body(request("ann", request_id, context=b"caf\xe9"))
        self.freshet.send("requests", "ann", b"\xc3\x01" + SCHEMAS["RecommendationRequest"].fingerprint + body)
        self.assertIn("UTF-8", self.await_reply(request_id)[0]["note"])
        self.assertEqual(self.worker.metric("freshet_dead_letters_total"), 0)

    def test_who_cannot_be_told_goes_to_the_dead_letters(self):
        self.start()
        good = request("ann", "r")
        self.freshet.send("requests", "ann", b"garbage")
        self.freshet.send("requests", "ann", single_object(SCHEMAS["RecommendationRequest"], {**good, "request_id": ""}))
        self.freshet.send("requests", None, single_object(SCHEMAS["RecommendationRequest"], good))
        self.freshet.send("requests", "ann", click("ann", "item-1"))
        self.freshet.send("requests", "ann", None)
        self.worker.await_metric("freshet_dead_letters_total", 4)
        self.assertEqual(len(self.ask("ann", k=4)["items"]), 4)
        letters = self.freshet.tail("dead_letters")
        self.addCleanup(letters.close)
        letters.until(lambda records: len(records) == 4, "four dead letters")
        for letter in letters.records:
            self.assertEqual(dict(letter.headers)["__connect.errors.topic"].decode(), self.freshet.topics["requests"])

    def test_the_former_schema_is_read(self):
        self.start()
        former = Schema((ROOT / "schemas" / "former" / "RecommendationRequest-3914309c5ec520a5.avsc").read_text())
        record = request("ann", "old")
        del record["min_age_s"], record["kind"]
        self.freshet.send("requests", "ann", single_object(former, record))
        self.assertEqual(len(self.await_reply("old")[0]["items"]), 10)


class Delivery(RequestsCase):
    REQUESTS = 3000

    def answered(self, committed=True):
        return {record.key.decode() for record in self.freshet.read("replies", committed)}

    def test_kill_9_loses_no_request(self):
        self.start({"requests.max_age_ms": 0})
        wanted = [f"request-{i}" for i in range(self.REQUESTS)]
        for i, request_id in enumerate(wanted):
            user = f"user-{i % 50}"
            more = {"context": f"thing number {i % 40}"} if i % 2 else {}
            self.freshet.send("requests", user,
                              single_object(SCHEMAS["RecommendationRequest"], request(user, request_id, k=5, **more)))
            self.freshet.send("events", user, click(user, f"item-{i % ITEMS}"))
            if i % 1000 == 500:
                self.freshet.flush()
                self.worker.kill()
                self.worker.start()
        self.freshet.flush()
        until(lambda: self.freshet.expect_running() or self.answered() >= set(wanted), "every request is answered")
        self.freshet.settle()
        self.assertEqual(sum(state["events"] for state in self.freshet.users().values()), self.REQUESTS)

    def test_committed_delivery(self):
        self.start({"app.delivery": "committed", "state.committed_interval_ms": 100})
        self.learn("ann", "item-1")
        self.assertEqual(len(self.ask("ann", k=7)["items"]), 7)

    def test_requests_do_not_stall_events(self):
        self.start({"requests.max_age_ms": 0})
        stopped = threading.Event()
        producer = make_producer(self.freshet.bootstrap)  # its queue need not be empty while events wait for the broker

        def ask_on():
            n = 0
            while not stopped.wait(0.01):
                for _ in range(20):
                    n += 1
                    producer.produce(self.freshet.topics["requests"], key=f"user-{n % 50}", value=single_object(
                        SCHEMAS["RecommendationRequest"], request(f"user-{n % 50}", f"r-{n}", explain=False)))
                producer.poll(0)

        asker = threading.Thread(target=ask_on)
        asker.start()
        try:
            for _ in range(3):
                self.learn("ann", "item-1")
        finally:
            stopped.set()
            asker.join()
            producer.purge()
        self.assertEqual(self.freshet.users()["ann"]["events"], 3)


if __name__ == "__main__":
    main()
