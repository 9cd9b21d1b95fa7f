"""Topics that somebody else has made: what loses history or stops commits is told before it happens."""

import re
import signal
import time

from confluent_kafka import TopicPartition
from confluent_kafka.admin import ConfigResource, NewPartitions, NewTopic
from harness import (BOOTSTRAP, EXIT_OK, EXIT_STATE, EXIT_UNAVAILABLE, SCHEMAS, AdminClient, Case, click, main, now_ms,
                     single_object, until)

DAY_MS = 86400000


class Topics(Case):
    def setUp(self):
        super().setUp()
        self.admin = AdminClient({"bootstrap.servers": BOOTSTRAP})

    def set(self, app, topic, **settings):
        changes = {name.replace("_", "."): str(value) for name, value in settings.items()}
        resource = ConfigResource("topic", app.topics[topic], set_config=changes)
        for done in self.admin.alter_configs([resource]).values():
            done.result()

        def is_set():
            shown = self.admin.describe_configs([ConfigResource("topic", app.topics[topic])])
            known = next(iter(shown.values())).result()
            return all(known[name].value == value for name, value in changes.items())

        until(is_set, f"{changes} are set")

    def check(self, app, code, *says):
        def as_expected():
            ended = app.command("topics", "check")
            return ended.returncode == code and all(part in ended.stdout + ended.stderr for part in says) and ended

        return until(as_expected, f"topics check ends with {code} and says {says}")

    def history(self, app, age_days):
        path = app.folder / "history.csv"
        rows = [f"e{n},u{n % 5},i{n},{now_ms() - age_days * DAY_MS + n}" for n in range(50)]
        path.write_text("\n".join(["event_id,user_id,item_id,occurred_at", *rows]) + "\n")
        return path

    def test_check_prints_every_fault(self):
        app = self.app()
        self.check(app, EXIT_OK, "ok: 4 partitions")
        self.set(app, "events", cleanup_policy="compact")
        self.set(app, "users", cleanup_policy="compact,delete")
        self.set(app, "item_deltas", cleanup_policy="delete", max_message_bytes=100000, retention_ms=60000)
        self.set(app, "item_states", cleanup_policy="compact", delete_retention_ms=1000)
        told = self.check(app, EXIT_STATE, f"{app.topics['events']} is compacted",
                          f"{app.topics['users']} needs cleanup.policy=compact", "max.message.bytes=100000",
                          "deltas may expire", "forgets tombstones after 1000 ms")
        self.assertEqual(len(told.stderr.splitlines()), 5, told.stderr)

    def choose(self, app):
        """40 users choose one of 5 items each."""
        for number in range(40):
            app.send("events", f"user-{number}", click(f"user-{number}", f"item-{number % 5}"))

    def test_a_changelog_that_has_lost_its_beginning(self):
        """Its policy is right again, so only the beginning of the log says that rows of users are gone."""
        app = self.app()
        app.announce(5)
        worker = app.service().start_ready()
        self.choose(app)
        app.settle()
        self.check(app, EXIT_OK, "ok: 4 partitions")
        self.set(app, "users", cleanup_policy="delete")
        name = app.topics["users"]
        for done in self.admin.delete_records([TopicPartition(name, p, 1) for p in range(4)]).values():
            done.result()
        self.set(app, "users", cleanup_policy="compact")
        self.check(app, EXIT_STATE, f"{name} has lost its first records, 4 in 4 partitions")
        self.assertEqual(worker.stop(), EXIT_OK)
        worker.start_ready()
        self.assertIn("has lost its first records", worker.log())

    def test_limits_below_any_record(self):
        app = self.app()
        for topic in app.topics:
            if topic == "shadow":
                continue
            compacts = topic in ("items", "recommendations", "users", "item_states", "generations")
            self.set(app, topic, max_message_bytes=1000, cleanup_policy="compact" if compacts else "delete")
        told = self.check(app, EXIT_STATE, *(f"topic {name} has max.message.bytes=1000"
                                             for topic, name in app.topics.items() if topic != "shadow"))
        self.assertIn("a commit may need 131072", told.stderr)

    def test_a_limit_that_no_record_of_state_fits_is_refused_at_the_start(self):
        app = self.app()
        self.set(app, "item_deltas", cleanup_policy="delete", max_message_bytes=500)
        worker = app.service()
        worker.start()
        self.assertEqual(worker.wait(), EXIT_STATE, worker.last_line())
        self.assertIn(f"topic {app.topics['item_deltas']} has max.message.bytes=500", worker.last_line())

    def test_records_that_expire_unread(self):
        app = self.app()
        self.set(app, "events", retention_ms=60000, message_timestamp_before_max_ms=DAY_MS)
        self.set(app, "requests", retention_ms=100)
        self.set(app, "item_deltas", retention_bytes=1000)
        self.set(app, "items", cleanup_policy="delete")
        events, requests, deltas = (app.topics[topic] for topic in ("events", "requests", "item_deltas"))
        told = self.check(app, EXIT_STATE, f"{events} keeps records for 60000 ms",
                          f"{events} refuses records that are older than {DAY_MS} ms",
                          f"{requests} keeps records for 100 ms", f"{deltas} keeps 1000 bytes",
                          f"{app.topics['items']} has cleanup.policy=delete")
        self.assertEqual(len(told.stderr.splitlines()), 5, told.stderr)

    def test_more_replicas_asked_for_than_there_are(self):
        """Older brokers write nothing then. This one takes the smaller number, so the service runs."""
        app = self.app()
        self.set(app, "users", min_insync_replicas=2, cleanup_policy="compact")
        self.check(app, EXIT_STATE, f"{app.topics['users']} has min.insync.replicas=2, but 1 replica")
        app.service().start_ready()
        app.put("events", "u1", click("u1", "i1"))
        app.settle()
        self.assertIn("u1", app.users())

    def test_run_says_so_and_goes_on_where_it_can(self):
        app = self.app()
        self.set(app, "events", cleanup_policy="compact,delete")
        worker = app.service().start_ready()
        self.assertIn("warn topics.fault", worker.log())
        self.assertIn("is compacted", worker.log())

    def test_a_topic_that_is_changed_while_running(self):
        app = self.app()
        self.set(app, "events", retention_ms=7 * DAY_MS)
        worker = app.service().start_ready()
        # It shows the retention at its first look, and looks again every minute.
        worker.await_metric("freshet_events_retention_seconds", 7 * DAY_MS / 1000)
        self.assertNotIn("topics.fault", worker.log())
        self.set(app, "users", cleanup_policy="delete")
        until(lambda: "topics.fault" in worker.log(), "the change is told", 90)
        self.assertIn(f"{app.topics['users']} needs cleanup.policy=compact", worker.log())
        worker.expect_running()

    def test_a_change_right_after_the_start_and_beside_a_standby(self):
        """A process without a partition looks, too; and what changes before its first look is not known yet."""
        app = self.app({"topics.partitions": 1})
        workers = [app.service("worker-0").start_ready(), app.service("worker-1").start()]
        until(lambda: "group.rebalance action=assign" in workers[1].log(), "worker-1 is a member, with the partition or without")
        self.set(app, "users", cleanup_policy="delete")
        for worker in workers:
            until(lambda log=worker.log: "topics.fault" in log(), "the change is told", 90)
            self.assertEqual(worker.log().count("topics.fault"), 1)
        self.assertEqual(sorted(worker.metrics()["freshet_partitions"] for worker in workers), [0, 1])

    def test_partitions_added_to_events_while_running(self):
        app = self.app({"kafka.topic.metadata.refresh.interval.ms": 2000})
        worker = app.service().start_ready()
        name = app.topics["events"]
        self.admin.create_partitions([NewPartitions(name, 5)])[name].result()
        self.assertEqual(worker.wait(), EXIT_STATE, worker.last_line())
        self.assertIn(f"{name} has 5 partitions, but the state of {app.id} is divided into 4", worker.last_line())
        self.assertIn("freshet topics grow --partitions 5", worker.last_line())

    def test_a_topic_that_is_deleted_while_it_is_written_to(self):
        app = self.app()
        app.announce(5)
        worker = app.service().start_ready()
        for topic in ("recommendations", "item_deltas"):
            name = app.topics[topic]
            self.admin.delete_topics([name])[name].result()

            def ends():
                app.send("events", "user", click("user", "item-1"))
                return worker.process.poll() is not None

            until(ends, "the process has ended", 120)
            self.assertEqual(worker.wait(), EXIT_UNAVAILABLE, worker.last_line())
            self.assertIn(f"topic {name} ", worker.last_line())
            self.assertIn("freshet topics create", worker.last_line())
            until(lambda: app.command("topics", "create").returncode == EXIT_OK, "it is made again")
            worker.start_ready()
            app.settle()

    def test_a_topic_of_lists_that_is_deleted_while_none_is_written(self):
        """The producer learns it by itself, and refuses the next list at once."""
        app = self.app({"kafka.topic.metadata.refresh.interval.ms": 1000})
        app.announce(5)
        worker = app.service().start_ready()
        app.send("events", "user", click("user", "item-1"))
        app.settle()
        name = app.topics["recommendations"]
        self.admin.delete_topics([name])[name].result()
        time.sleep(5)
        app.send("events", "user", click("user", "item-2"))
        self.assertEqual(worker.wait(), EXIT_UNAVAILABLE, worker.last_line())
        self.assertIn(f"topic {name} is gone", worker.last_line())
        self.assertNotIn("commit.aborted", worker.log())

    def test_partitions_added_to_lists_are_told(self):
        app = self.app()
        app.announce(5)
        self.set(app, "events", retention_ms=7 * DAY_MS)
        worker = app.service().start_ready()
        name = app.topics["recommendations"]
        # The watch shows it at the end of its first look, in which it counts partitions.
        worker.await_metric("freshet_events_retention_seconds", 7 * DAY_MS / 1000)
        self.admin.create_partitions([NewPartitions(name, 7)])[name].result()
        until(lambda: "lists.grown" in worker.log(), "it is told")
        self.assertIn(f"lists.grown topic={name} partitions=7 before=4", worker.log())
        time.sleep(4)
        self.assertEqual(worker.log().count("lists.grown"), 1)

    def test_lists_that_are_lost_with_their_topic(self):
        """The service only writes this topic, so nothing fails when somebody makes it again."""
        app = self.app()
        app.announce(5)
        worker = app.service().start_ready()
        self.choose(app)
        app.settle()
        name = app.topics["recommendations"]
        time.sleep(4)  # the watch has seen where the topic ends
        self.admin.delete_topics([name])[name].result()
        until(lambda: app.command("topics", "create").returncode == EXIT_OK, "it is made again")
        until(lambda: "lists.lost" in worker.log(), "the loss is told")
        self.assertEqual(worker.log().count("lists.lost"), 1)
        worker.process.send_signal(signal.SIGHUP)
        until(lambda: len({entry["user_id"] for entry in app.lists()}) == 40, "all users have a list again")

    def test_far_more_partitions_of_events_than_of_all_other_topics(self):
        """The watch looks at two more logs for each partition of events. scripts/build asan sees whether they fit."""
        app = self.app({"topics.partitions": 12}, create=False)
        name = app.topics["items"]
        made = NewTopic(name, num_partitions=1, config={"cleanup.policy": "compact"})
        self.admin.create_topics([made])[name].result()
        app.create_topics()
        for topic in ("requests", "replies"):
            self.admin.delete_topics([app.topics[topic]])[app.topics[topic]].result()
        until(lambda: not {app.topics["requests"], app.topics["replies"]} & set(self.admin.list_topics(timeout=10).topics),
              "they are gone", 20)
        app.announce(5)
        worker = app.service().start_ready()
        self.choose(app)
        app.settle()
        time.sleep(7)  # it looks each 3 s
        worker.expect_running()
        self.assertEqual(worker.stop(), EXIT_OK)

    def test_a_limit_that_records_keep_and_their_batches_do_not(self):
        """The broker holds a whole batch against the limit, and a backlog makes large ones."""
        for topic in ("users", "recommendations", "item_deltas", "dead_letters"):
            app = self.app()
            app.announce(500)
            compacts = topic in ("users", "recommendations")
            self.set(app, topic, max_message_bytes=100000, cleanup_policy="compact" if compacts else "delete")
            for number in range(8000):
                user = f"user-{number % 2000}"
                app.send("events", user, click(user, f"item-{number * 7 % 500}", event_id=f"e{number}"))
                app.send("events", user, b"x" * 50)
            app.flush()
            worker = app.service().start_ready()
            app.settle()
            self.assertEqual(worker.metric("freshet_aborts_total"), 0, topic)
            self.assertEqual(len(app.read("dead_letters")), 8000)
            worker.kill()

    def test_small_batches_are_told_where_the_topic_is_written(self):
        for topic, is_told in (("requests", False), ("events", True), ("dead_letters", True)):
            app = self.app()
            self.set(app, topic, max_message_bytes=20000, cleanup_policy="delete")
            worker = app.service().start_ready()
            self.assertEqual(f"kafka.small_batches topic={app.topics[topic]} bytes=20000" in worker.log(), is_told, topic)
            self.assertEqual("kafka.small_batches" in worker.log(), is_told, topic)
            worker.kill()

    def test_a_reply_that_its_topic_never_takes(self):
        """Whoever writes a request chooses its id, and each reply carries it."""
        app = self.app({"requests.reply_topics": "mine-"})
        app.announce(5)
        app.topics["mine"] = f"mine-{app.id}"
        self.admin.create_topics([NewTopic(app.topics["mine"], 1)])[app.topics["mine"]].result()
        self.set(app, "replies", max_message_bytes=1000)
        worker = app.service().start_ready()
        for length in (10, 512):
            fields = SCHEMAS["RecommendationRequest"].parsed["fields"]
            asked = {field["name"]: field["default"] for field in fields if "default" in field}
            asked |= {"request_id": "r" * length, "user_id": "user", "k": 1}
            app.send("requests", "user", single_object(SCHEMAS["RecommendationRequest"], asked),
                     headers=[("kafka_replyTopic", app.topics["mine"].encode())])
        app.send("events", "user", click("user", "item-1"))
        app.settle()
        worker.await_metric("freshet_replies_undeliverable_total", 1)
        self.assertEqual([len(record.key) for record in app.read("replies")], [10])
        until(lambda: sorted(len(record.key) for record in app.read("mine")) == [10, 512], "both are in the named topic")
        self.assertEqual(worker.log().count("reply.too_large"), 1)
        size, limit = map(int, re.search(r"reply.too_large .*bytes=(\d+) limit=(\d+)", worker.log()).groups())
        self.assertGreater(size, limit)
        self.assertEqual(worker.metric("freshet_aborts_total"), 0)

    def test_a_limit_that_ends_each_commit_is_named(self):
        app = self.app()
        app.announce(5)
        self.set(app, "item_deltas", cleanup_policy="delete", max_message_bytes=1000)
        worker = app.service().start_ready()
        self.choose(app)
        app.flush()
        until(lambda: "commit.aborted" in worker.log(), "a commit is aborted")
        first = next(line for line in worker.log().splitlines() if "commit.aborted" in line)
        self.assertIn(f"max.message.bytes of topic {app.topics['item_deltas']}", first)
        self.set(app, "item_deltas", cleanup_policy="delete", max_message_bytes=1048588)
        app.settle()

    def test_missing_topics(self):
        app = self.app(create=False)
        self.check(app, EXIT_UNAVAILABLE, "do not exist", app.topics["events"])

    def test_replay_asks_before_history_is_lost(self):
        app = self.app()
        self.set(app, "events", cleanup_policy="delete", retention_ms=7 * DAY_MS)
        old = self.history(app, 30)
        refused = app.command("replay", "--events", old)
        self.assertEqual(refused.returncode, EXIT_STATE, refused.stderr)
        self.assertIn("retention.ms", refused.stderr)
        self.assertEqual(app.command("replay", "--events", old, "--accept-loss").returncode, EXIT_OK)
        self.check(app, EXIT_STATE, "about to be deleted")
        self.set(app, "events", cleanup_policy="delete", retention_ms=-1, retention_bytes=100)
        refused = app.command("replay", "--events", old)
        self.assertEqual(refused.returncode, EXIT_STATE, refused.stderr)
        self.assertIn("retention.bytes", refused.stderr)
        self.check(app, EXIT_STATE, "retention.bytes=-1")
        self.set(app, "events", cleanup_policy="compact")
        refused = app.command("replay", "--events", self.history(app, 1))
        self.assertEqual(refused.returncode, EXIT_STATE, refused.stderr)
        self.assertIn("compacted", refused.stderr)


if __name__ == "__main__":
    main()
