"""A user is forgotten: on a real broker, every topic and the state folder are searched for the id afterwards."""

import http.client
import json
import uuid

from harness import EXIT_OK, EXIT_UNAVAILABLE, EXIT_USAGE, Case, by_version, click, compacted, main, until

COMPACTED = ("users", "recommendations", "shadow", "item_states", "items")


class Privacy(Case):
    def start(self, settings=None):
        app = self.app({"state.commit_interval_ms": 200, **(settings or {})})
        self.items = app.announce(30)
        worker = app.service().start_ready()
        return app, worker

    def live(self, app, user, events=12):
        for number in range(events):
            app.send("events", user, click(user, self.items[number], event_id=f"{user}-{number}"))
        app.flush()

    def files_with(self, worker, user):
        """Names of files of the state folder that hold the id; files come and go meanwhile."""
        found = []
        for path in worker.state.rglob("*"):
            try:
                if path.is_file() and user.encode() in path.read_bytes():
                    found.append(path.name)
            except FileNotFoundError:
                pass
        return found

    def topics_with(self, app, user):
        """topic -> records that hold the id in key or value once compacted topics are compacted."""
        found, needle = {}, user.encode()
        for name in app.topics:
            records = app.read(name)
            if name in COMPACTED:
                hits = [key for key, value in compacted(records).items() if needle in (key or b"") + value]
            else:
                hits = [r for r in records if needle in (r.key or b"") + (r.value or b"")]
            if hits:
                found[name] = hits
        return found

    def test_an_erased_user_is_nowhere_but_where_the_receipt_says(self):
        app, worker = self.start()
        user, other = f"forget-{uuid.uuid4().hex}", f"stay-{uuid.uuid4().hex}"
        app.send("events", user, b"no avro")  # a dead letter, committed long before
        self.live(app, user)
        self.live(app, other)
        app.settle()
        lists = app.tail("recommendations")
        self.addCleanup(lists.close)
        lists.until(lambda records: user.encode() in compacted(records), "a list")
        self.assertIn(user, app.users())
        until(lambda: self.files_with(worker, user), "the commit is on the disk")

        ran = app.command("erase", "--user", user, "--receipt", "--json")
        self.assertEqual(ran.returncode, EXIT_OK, ran.stderr)
        receipt = json.loads(ran.stdout)
        self.assertTrue(receipt["applied"])
        topics = {entry["topic"]: entry for entry in receipt["topics"]}
        for name in ("users", "recommendations"):
            entry = topics[app.topics[name]]
            self.assertTrue(entry["erased"])
            self.assertGreater(entry["records"], 0)
            self.assertEqual(entry["bound"], "max.compaction.lag.ms")
        self.assertEqual(topics[app.topics["dead_letters"]]["records"], 1)
        self.assertEqual(topics[app.topics["dead_letters"]]["bound"], "retention.ms")
        self.assertEqual(topics[app.topics["events"]]["records"], 13)
        self.assertIsNone(topics[app.topics["events"]]["until"])

        # Applied means committed: nothing has to be waited for in the topics.
        left = self.topics_with(app, user)
        self.assertEqual(set(left), {"events", "dead_letters"})
        self.assertEqual(len(left["dead_letters"]), 1)
        tombstones = [r for r in left["events"] if r.value is None]
        self.assertEqual([(r.partition, r.offset) for r in tombstones], [(receipt["partition"], receipt["offset"])])
        self.assertEqual(max(r.offset for r in left["events"]), receipt["offset"])
        until(lambda: not self.files_with(worker, user), f"the id has left the disk: {self.files_with(worker, user)}")
        self.assertIn(other, app.users())
        self.assertIn(other, by_version(app.lists()))
        self.assertEqual(worker.stop(), EXIT_OK)
        self.assertEqual(self.files_with(worker, user), [])
        # Nor does it come back from the log, with an empty folder.
        again = app.service("again").start_ready()
        app.settle()
        until(lambda: not self.files_with(again, user), "what the restore has read on the way has left the disk")
        self.assertNotIn(user, app.users())
        self.assertEqual(again.stop(), EXIT_OK)

    def ask(self, worker, method, target):
        connection = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=30)
        self.addCleanup(connection.close)
        connection.request(method, target, headers={"X-Freshet": "1"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def test_delete_over_http_is_the_same_erasure(self):
        app, worker = self.start({"state.commit_interval_ms": 5000})  # nobody is kept waiting for it
        user, other = f"forget/{uuid.uuid4().hex}", f"stay-{uuid.uuid4().hex}"
        target = "/v1/users/" + user.replace("/", "%2F")
        app.send("events", user, b"no avro")
        self.live(app, user)
        self.live(app, other)
        app.settle()
        lists = app.tail("recommendations")
        self.addCleanup(lists.close)
        lists.until(lambda records: user.encode() in compacted(records), "a list")
        self.assertEqual(self.ask(worker, "GET", target)[0], 200)
        self.assertEqual(self.ask(worker, "DELETE", target)[0], 200)
        # Answered means committed: a crash right now brings nothing back, and nothing has to be waited for.
        worker.kill()
        left = self.topics_with(app, user)
        self.assertEqual(set(left), {"events", "dead_letters"})
        self.assertEqual([r.value for r in left["events"]].count(None), 1)
        worker.start_ready()
        until(lambda: not self.files_with(worker, user), "the id has left the disk")
        self.assertEqual(self.ask(worker, "GET", target)[0], 404)
        self.assertEqual(self.ask(worker, "DELETE", target)[0], 404)
        self.assertEqual(self.ask(worker, "GET", target + "/recommendations?k=3")[0], 200)  # as of somebody unknown
        self.assertNotIn(user, app.users())
        self.assertIn(other, app.users())
        for item in self.items[:2]:  # who comes back begins anew
            app.send("events", user, click(user, item))
        app.settle()
        self.assertEqual(self.ask(worker, "GET", target)[1]["events"], 2)
        self.assertEqual(worker.stop(), EXIT_OK)

    def test_a_kill_in_between_loses_no_erasure(self):
        app, worker = self.start()
        users = [f"forget-{i}-{uuid.uuid4().hex}" for i in range(20)]
        for user in users:
            self.live(app, user, 3)
        app.settle()
        for user in users:
            app.send("events", user, b"no avro")  # on its way to the dead letters when the tombstone comes
            app.send("events", user, None)
        app.flush()
        worker.kill()
        worker.start_ready()
        app.settle()
        self.assertEqual([user for user in users if user in app.users()], [])
        lists = compacted(app.read("recommendations"))
        self.assertEqual([user for user in users if user.encode() in lists], [])
        until(lambda: not any(self.files_with(worker, user) for user in users), "the ids have left the disk")
        self.assertEqual(worker.stop(), EXIT_OK)

    def test_without_a_service_the_order_waits_in_the_topic(self):
        app, worker = self.start()
        user = f"forget-{uuid.uuid4().hex}"
        self.live(app, user)
        app.settle()
        self.assertEqual(worker.stop(), EXIT_OK)
        ran = app.command("erase", "--user", user, "--timeout", "1", "--receipt")
        self.assertEqual(ran.returncode, EXIT_UNAVAILABLE, ran.stderr)
        self.assertIn("not applied", ran.stdout)
        self.assertIn(f"{app.topics['users']:<32} NOT erased", ran.stdout)
        worker.start_ready()
        app.settle()
        self.assertNotIn(user, app.users())
        ran = app.command("erase", "--user", user, "--receipt")  # once more does no harm
        self.assertEqual(ran.returncode, EXIT_OK, ran.stderr)
        self.assertNotIn("NOT erased", ran.stdout)
        self.assertEqual(app.command("erase").returncode, EXIT_USAGE)
        self.assertEqual(app.command("erase", "--user", "\x01d").returncode, EXIT_USAGE)


if __name__ == "__main__":
    main()
