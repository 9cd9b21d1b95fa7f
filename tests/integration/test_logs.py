"""Topics that are deleted and made again, or lose records before they are read: never followed silently."""

import json
import re
import shutil
import time

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import NewTopic
from harness import (BOOTSTRAP, EXIT_OK, EXIT_STATE, PARTITIONS, AdminClient, Case, click, compacted, decode, item,
                     main, until)

USERS = 20
MARK = re.compile(r"m1:\d+:\d+:[0-9a-f]{16}")
NOTICED_S = 60  # 5 s for the watch, and the time that Kafka takes to delete and make a topic; busy machines need more


class Logs(Case):
    def setUp(self):
        super().setUp()
        self.admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
        self.app = self.app()
        self.app.announce(30)
        self.worker = self.app.service().start_ready()

    def feed(self, count, tag):
        for n in range(count):
            user = f"user-{n % USERS}"
            self.app.send("events", user, click(user, f"item-{n % 30}", event_id=f"{tag}-{n}"),
                          on_delivery=lambda error, _: self.assertIsNone(error))
        self.app.flush()

    def learn(self, count, tag):
        self.feed(count, tag)
        self.app.settle()

    def make_again(self, topic, config=None, away_s=0, partitions=PARTITIONS):
        name = self.app.topics[topic]
        self.admin.delete_topics([name])[name].result()
        until(lambda: name not in self.admin.list_topics(timeout=10).topics, f"{name} is deleted")
        time.sleep(away_s)

        def made():
            try:
                self.admin.create_topics([NewTopic(name, partitions, 1, config=config or {})])[name].result()
                return True
            except Exception:  # still marked for deletion
                return False

        until(made, f"{name} is made again")
        time.sleep(2)  # brokers and producers hear of it

    def events_known(self):
        return sum(state["events"] for state in self.app.users().values())

    def expect_refusal(self, *says):
        self.assertEqual(self.worker.wait(NOTICED_S), EXIT_STATE, self.worker.last_line())
        for part in (*says, "--accept-new-log", "--start-over"):
            self.assertIn(part, self.worker.last_line())

    def test_events_made_again_while_running(self):
        self.learn(200, "old")
        self.make_again("events")
        self.feed(300, "new")
        self.expect_refusal(self.app.topics["events"])
        self.worker.start()
        self.expect_refusal("events")
        dry = self.app.command("offsets", "--accept-new-log")
        self.assertEqual(dry.returncode, EXIT_OK, dry.stderr)
        self.assertIn("dry run", dry.stdout)
        done = self.app.command("offsets", "--accept-new-log", "--execute")
        self.assertEqual(done.returncode, EXIT_OK, done.stderr)
        self.worker.start_ready()
        self.app.settle()
        self.assertEqual(self.events_known(), 500)
        again = self.app.command("offsets", "--accept-new-log")
        self.assertIn("nothing to do", again.stdout)

    def test_events_away_for_a_while(self):
        """librdkafka 2.0.2 never closes a client whose topic was away while it was asked for: the process ends all the
        same, and says why."""
        self.learn(200, "old")
        self.make_again("events", away_s=3)
        self.feed(300, "new")
        self.expect_refusal("events")

    def test_the_changelog_made_again_while_running(self):
        """Users who are not active would be lost at the next restore, without a word."""
        self.learn(200, "old")
        time.sleep(7)  # two looks of the watch
        self.make_again("users", {"cleanup.policy": "compact"})
        self.assertEqual(self.worker.wait(NOTICED_S), EXIT_STATE, self.worker.last_line())
        self.assertIn(self.app.topics["users"], self.worker.last_line())
        self.assertIn("the folder may hold the only copy", self.worker.last_line())

    def titles(self):
        found = (self.worker.get(f"/v1/items/item-{n}") for n in range(60))
        return [json.loads(text)["title"] if status == 200 else None for status, text in found]

    def test_items_made_again_while_stopped(self):
        """Kafka forgets the offsets of a deleted topic, and the new log may be longer than what was read of the old one. Its
        first records must not be passed over. Without any, all lists would go."""
        self.learn(200, "old")
        self.assertEqual(self.worker.stop(), EXIT_OK)
        self.make_again("items", {"cleanup.policy": "compact"})
        self.worker.start()
        self.expect_refusal(self.app.topics["items"], "publish all items again")
        for n in range(10, 60):
            for title in ("First", "New"):
                self.app.send("items", f"item-{n}", item(f"item-{n}", title=f"{title} {n}"))
        self.app.flush()
        self.worker.start()
        self.expect_refusal(self.app.topics["items"])
        done = self.app.command("offsets", "--accept-new-log", "--execute")
        self.assertEqual(done.returncode, EXIT_OK, done.stderr)
        self.worker.start_ready()
        self.assertIn("catalogue.replaced", self.worker.log())
        self.assertEqual(self.titles(), [None] * 10 + [f"New {n}" for n in range(10, 60)])
        self.learn(100, "more")
        self.assertEqual(self.worker.stop(), EXIT_OK)
        self.worker.log_path.unlink()
        self.worker.start_ready()
        self.assertNotIn("catalogue.replaced", self.worker.log())
        self.assertEqual(self.events_known(), 300)

    def test_items_made_again_and_the_old_position_committed(self):
        """A process that runs meanwhile may commit its old position to the new log before it notices. That is nobody's
        choice: the folder may have the only copy of the items, so it keeps them."""
        self.learn(200, "old")
        self.assertEqual(self.worker.stop(), EXIT_OK)
        group = self.app.consumer()
        places = [TopicPartition(self.app.topics["items"], p) for p in range(PARTITIONS)]
        committed = []
        for _ in range(100):  # this client reads beyond the end of the text, where bytes may be that are no text
            try:
                # It also ends what it commits with a NUL.
                committed = [TopicPartition(place.topic, place.partition, place.offset,
                                            metadata=MARK.match(place.metadata).group() + " ")
                             for place in group.committed(places, timeout=10) if place.offset > 0]
                break
            except UnicodeDecodeError:
                continue
        self.assertTrue(committed)
        self.make_again("items", {"cleanup.policy": "compact"})
        group.commit(offsets=committed, asynchronous=False)
        group.close()
        for count in (5, 60):  # shorter than the old log, and longer
            for n in range(count):
                self.app.send("items", f"new-{n}", item(f"new-{n}"))
            self.app.flush()
            for _ in range(2):
                self.worker.start()
                self.expect_refusal(self.app.topics["items"])
        self.assertNotIn("catalogue.replaced", self.worker.log())
        done = self.app.command("offsets", "--accept-new-log", "--execute")
        self.assertEqual(done.returncode, EXIT_OK, done.stderr)
        self.worker.start_ready()
        self.assertIn("catalogue.replaced", self.worker.log())

    def test_start_over(self):
        self.learn(200, "old")
        self.assertEqual(self.worker.stop(), EXIT_OK)
        self.make_again("events")
        self.feed(120, "new")
        self.worker.start()
        self.expect_refusal("no committed offset")
        self.assertIn("dry run", self.app.command("offsets", "--start-over").stdout)
        done = self.app.command("offsets", "--start-over", "--execute")
        self.assertEqual(done.returncode, EXIT_OK, done.stderr)
        shutil.rmtree(self.worker.state)
        self.worker.start_ready()
        self.app.settle()
        self.assertEqual(self.events_known(), 120)

    def test_other_records_under_the_same_offsets(self):
        """As after an unclean election. The committed offsets are kept: only the records themselves can tell."""
        self.learn(200, "old")
        self.assertEqual(self.worker.stop(), EXIT_OK)
        offsets = self.committed()
        self.make_again("events")
        self.feed(400, "new")
        self.commit(offsets)
        self.worker.start()
        self.expect_refusal("is not the log that was read", "is another one")

    def put_markers(self):
        """The new log has the marker of a transaction where the old one had the record that was read last."""
        self.learn(200, "old")
        self.assertEqual(self.worker.stop(), EXIT_OK)
        offsets = self.committed()
        self.make_again("events")
        producer = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": f"{self.app.id}-producer"})
        producer.init_transactions(20)
        for count in ([place.offset - 1 for place in offsets], [5] * PARTITIONS):  # of each partition, in a transaction
            producer.begin_transaction()
            for partition, records in enumerate(count):
                for n in range(records):
                    producer.produce(self.app.topics["events"], key="user-1", value=click("user-1", "item-1"),
                                     partition=partition)
            producer.commit_transaction(20)
        self.commit(offsets)
        self.worker.start()
        self.expect_refusal("is not the log that was read", "now there is none", "--shift-by 0")

    def test_a_marker_under_the_old_offset(self):
        self.put_markers()
        told = self.app.command("offsets", "--accept-new-log", "--execute")
        self.assertNotIn("nothing to do", told.stdout)
        self.worker.start_ready()

    def test_a_record_that_is_gone_is_accepted_as_it_is(self):
        """As after a topic was compacted for a while: the same offsets hold."""
        self.put_markers()
        before = [place.offset for place in self.committed()]
        done = self.app.command("offsets", "--shift-by", "0", "--execute")
        self.assertEqual(done.returncode, EXIT_OK, done.stderr)
        self.assertEqual([place.offset for place in self.committed()], before)
        self.worker.start_ready()
        self.learn(40, "later")
        self.assertEqual(self.worker.stop(), EXIT_OK)

    def committed(self):
        reader = self.app.consumer()
        wanted = [TopicPartition(self.app.topics["events"], p) for p in range(PARTITIONS)]
        found = reader.committed(wanted, 10)
        reader.close()
        return found

    def ends(self, topic):
        """The end of each partition."""
        tail = self.app.tail(topic)
        ends = [tail.end_of(partition) for partition in tail.partitions]
        tail.close()
        return ends

    def commit(self, offsets):
        until(lambda: self.app.members() == 0, "the group is empty")
        writer = self.app.consumer()
        writer.commit(offsets=offsets, asynchronous=False)
        writer.close()

    def test_changelog_made_again_and_longer(self):
        """The folder reflects another changelog of this name, at an offset that the new one has, too."""
        self.learn(200, "old")
        self.assertEqual(self.worker.stop(), EXIT_OK)
        old_ends = self.ends("users")
        self.make_again("users", {"cleanup.policy": "compact"})
        other = self.app.service("other").start_ready()
        for n in range(60):  # a commit each, so that the new log grows beyond the old position
            self.learn(100, f"other-{n}")
            if all(new > old for new, old in zip(self.ends("users"), old_ends)):
                break
        else:
            self.fail(f"the new log did not grow beyond {old_ends}")
        self.assertEqual(other.stop(), EXIT_OK)
        until(lambda: self.app.members() == 0, "the group is empty")
        known = {user: state["events"] for user, state in self.app.users().items()}
        self.worker.start_ready()
        self.assertIn("changelog.replaced", self.worker.log())
        for user, events in known.items():
            self.assertEqual(json.loads(self.worker.get(f"/v1/users/{user}")[1])["events"], events)

    def test_changelog_made_again_and_shorter(self):
        self.learn(200, "old")
        self.assertEqual(self.worker.stop(), EXIT_OK)
        self.make_again("users", {"cleanup.policy": "compact"})
        self.worker.start()
        self.assertEqual(self.worker.wait(NOTICED_S), EXIT_STATE, self.worker.last_line())
        self.assertIn(f"{self.app.topics['users']} [0] ends at offset 0", self.worker.last_line())

    def chosen(self, item="item-1"):
        """How often an item was chosen, as far as the worker knows."""
        return json.loads(self.worker.get(f"/v1/items/{item}")[1])["chosen"]

    def learn_with_checkpoint(self, tag):
        """Returns how often an item was chosen then, as a checkpoint has it, too."""
        self.worker.kill()
        self.worker.overrides += ["state.items_interval_s=1", "state.checkpoint_interval_s=1"]
        self.worker.start_ready()
        self.learn(300, tag)
        chosen = self.chosen()
        self.assertGreater(chosen, 0)
        end = self.end_of_deltas()

        def is_in_checkpoints():
            """The line items.checkpoint comes before the commit, and each partition of items has a checkpoint of its own."""
            states = compacted(self.app.read("item_states")).items()
            folded = [decode("ItemState", value)["folded_to"] for key, value in states if key.startswith(b"\0global")]
            return len(folded) == PARTITIONS and min(folded) >= end - 1  # a transaction ends with a marker

        until(is_in_checkpoints, "the checkpoint is committed")
        return chosen

    def test_item_deltas_made_again(self):
        """What was learned stays, with the folder and without it, and the new log is read from its beginning."""
        for forgets in (False, True):
            before = self.learn_with_checkpoint(f"old-{forgets}")
            self.assertEqual(self.worker.stop(), EXIT_OK)
            self.make_again("item_deltas", partitions=1)
            if forgets:
                shutil.rmtree(self.worker.state)
            self.worker.log_path.unlink()
            self.worker.start_ready()
            self.assertIn("deltas.replaced", self.worker.log())
            self.assertEqual(self.chosen(), before)
            self.learn(300, f"new-{forgets}")
            after = self.chosen()
            self.worker.kill()
            self.worker.start_ready()
            self.assertEqual(self.chosen(), after)

    def end_of_deltas(self):
        return self.ends("item_deltas")[0]

    def test_item_deltas_made_again_and_longer(self):
        """While the process was down, another one began a new log of deltas, which is longer than the old one was."""
        self.learn_with_checkpoint("old")
        self.assertEqual(self.worker.stop(), EXIT_OK)
        old_end = self.end_of_deltas()
        self.make_again("item_deltas", partitions=1)
        other = self.app.service("other").start_ready()
        for turn in range(60):
            self.learn(60, f"new-{turn}")
            if self.end_of_deltas() > old_end + 1:
                break
        self.assertGreater(self.end_of_deltas(), old_end + 1)
        chosen = json.loads(other.get("/v1/items/item-1")[1])["chosen"]
        self.assertEqual(other.stop(), EXIT_OK)
        self.worker.log_path.unlink()
        self.worker.start_ready()
        self.assertIn("deltas.replaced", self.worker.log())
        self.assertEqual(self.chosen(), chosen)

    def publish_again(self, topic, records):
        producer = Producer({"bootstrap.servers": BOOTSTRAP})
        for record in records:
            producer.produce(self.app.topics[topic], key=record.key, value=record.value, partition=record.partition,
                             headers=record.headers)
        self.assertEqual(producer.flush(20), 0)

    def test_item_deltas_made_again_and_checkpoints_of_both_logs(self):
        """A process without its folder finds checkpoints of some items that count by the old log, shorter or longer than
        the new one, since the process that made them new was killed: no delta is left out, and none is folded twice."""
        for turn in range(6):
            self.learn(60, f"older-{turn}")
        self.learn_with_checkpoint("old")
        self.assertEqual(self.worker.stop(), EXIT_OK)
        old_end = self.end_of_deltas()
        old_states = self.app.read("item_states")
        self.make_again("item_deltas", partitions=1)
        for longer in (False, True):
            self.worker.start_ready()
            for turn in range(60 if longer else 1):
                self.learn(60, f"new-{longer}-{turn}")
                if self.end_of_deltas() > old_end + 1:
                    break
            self.assertEqual(self.end_of_deltas() > old_end + 1, longer)
            chosen = [self.chosen(f"item-{n}") for n in range(30)]
            self.assertEqual(self.worker.stop(), EXIT_OK)
            keys = sorted({record.key for record in old_states})
            for left_out in (0, 2, 1):  # every second one, then all
                self.publish_again("item_states", [record for record in old_states
                                                   if left_out == 1 or keys.index(record.key) % 2 == left_out // 2])
                shutil.rmtree(self.worker.state)
                self.worker.log_path.unlink()
                self.worker.start_ready()
                self.assertIn("deltas.replaced", self.worker.log())
                self.assertEqual([self.chosen(f"item-{n}") for n in range(30)], chosen)
                self.assertEqual(self.worker.stop(), EXIT_OK)

    def test_item_deltas_expire_unread(self):
        """The folder is lost, and so are the deltas after the last checkpoint: what it has counts."""
        before = self.learn_with_checkpoint("old")
        self.worker.kill()
        self.worker.overrides[-1] = "state.checkpoint_interval_s=3600"
        self.worker.start_ready()
        self.learn(300, "lost")
        self.worker.kill()
        end = TopicPartition(self.app.topics["item_deltas"], 0, self.end_of_deltas())
        for done in self.admin.delete_records([end]).values():
            done.result()
        shutil.rmtree(self.worker.state)
        self.worker.start_ready()
        self.assertIn("deltas.lost", self.worker.log())
        self.assertEqual(self.chosen(), before)
        self.learn(60, "after")
        self.assertGreater(self.chosen(), before)

    def test_what_transactions_leave_is_no_lag(self):
        """A producer with transactions leaves a marker behind its last record, an aborted one records that do not count."""
        self.learn(20, "plain")
        producer = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": self.app.id,
                             "partitioner": "murmur2_random"})
        producer.init_transactions(20)
        for end in (producer.commit_transaction, producer.abort_transaction):
            producer.begin_transaction()
            for n in range(40):
                user = f"user-{n}"
                producer.produce(self.app.topics["events"], key=user, value=click(user, "item-1"))
            producer.flush()
            end()
        until(lambda: self.worker.metric("freshet_lag_events") == 0 and self.events_known() == 60, "all are learned")

        def lags():
            rows = self.app.command("offsets").stdout.splitlines()[2:]
            return [int(row.split()[4]) for row in rows]

        until(lambda: lags() == [0] * PARTITIONS, "offsets shows no lag")

    def test_events_that_expire_unread_are_counted(self):
        self.learn(200, "old")
        self.assertEqual(self.worker.stop(), EXIT_OK)
        self.feed(1000, "lost")
        ends = [TopicPartition(self.app.topics["events"], p, end) for p, end in enumerate(self.ends("events"))]
        for done in self.admin.delete_records(ends).values():
            done.result()
        self.feed(100, "after")
        self.worker.start_ready()
        self.app.settle()
        self.assertEqual(self.events_known(), 300)
        self.assertEqual(self.worker.metric('freshet_events_lost_total{reason="expired"}'), 1000)
        self.assertIn("records.lost", self.worker.log())
        self.assertEqual(self.worker.metric("freshet_events_retention_seconds"), 0)


if __name__ == "__main__":
    main()
