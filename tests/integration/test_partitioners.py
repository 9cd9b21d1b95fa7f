"""Producers that partition in another way than Java clients: librdkafka's default (CRC-32), FNV-1a, and partitions of
their own choice. Users must be found, and never be split in two without a word."""

import json
import urllib.request

from confluent_kafka import Producer
from harness import BOOTSTRAP, EXIT_OK, EXIT_UNAVAILABLE, Case, click, main, until

USERS = [f"cust-{n}" for n in range(16)]


class Partitioners(Case):
    def start(self, partitioner=None, **more):
        app = self.app({"state.commit_interval_ms": 100,
                        **({"events.partitioner": partitioner} if partitioner else {}), **more})
        self.items = app.announce(20)
        worker = app.service().start_ready()
        return app, worker

    def send(self, app, users, settings, partition=None):
        producer = Producer({"bootstrap.servers": BOOTSTRAP, **settings})
        for number, user in enumerate(users):
            more = {} if partition is None else {"partition": partition(number)}
            for k in range(3):
                producer.produce(app.topics["events"], key=user,
                                 value=click(user, self.items[k], event_id=f"{user}-{settings}-{k}"), **more)
        self.assertEqual(producer.flush(30), 0)
        app.settle()

    def found(self, worker, user):
        """(status, body) of GET /v1/users/{user}."""
        status, text = worker.get(f"/v1/users/{user}")
        return status, json.loads(text) if status == 200 else text

    def state_partitions(self, app):
        """user -> the partitions of the changelog in which the last record has a value."""
        last = {}
        for r in app.read("users"):
            if r.key and r.key[0] != 0:
                last[(r.key.decode(), r.partition)] = r.value
        places = {}
        for (user, partition), value in last.items():
            if value is not None:
                places.setdefault(user, []).append(partition)
        return places

    def test_events_of_another_partitioner_are_counted_and_told(self):
        app, worker = self.start()
        self.send(app, USERS, {"partitioner": "murmur2_random"})
        homes = self.state_partitions(app)
        self.send(app, USERS, {})  # the default of confluent-kafka
        until(lambda: worker.metric("freshet_events_foreign_total") > 0, "foreign events")
        foreign = int(worker.metric("freshet_events_foreign_total"))
        self.assertEqual(self.state_partitions(app), homes, "a user was split")
        self.assertEqual(len(app.read("dead_letters")), foreign)
        self.assertIn("events.foreign", worker.log())
        self.assertIn("fits=crc32", worker.log())
        status, body = self.found(worker, "nobody")
        self.assertEqual(status, 404)
        self.assertIn("events.partitioner = murmur2", body)

    def test_a_setting_that_fits_finds_every_user(self):
        for partitioner, settings in (("crc32", {}), ("fnv1a", {"partitioner": "fnv1a_random"})):
            with self.subTest(partitioner):
                app, worker = self.start(partitioner)
                self.send(app, USERS, settings)
                for user in USERS:
                    status, body = self.found(worker, user)
                    self.assertEqual((status, body["events"]), (200, 3))
                self.assertEqual(worker.metric("freshet_events_foreign_total"), 0)
                ran = app.command("erase", "--user", USERS[0], "--receipt", "--json")
                self.assertEqual(ran.returncode, EXIT_OK, ran.stdout + ran.stderr)
                self.assertEqual(self.found(worker, USERS[0])[0], 404)
                request = urllib.request.Request(f"http://127.0.0.1:{worker.port}/v1/users/{USERS[1]}", method="DELETE",
                                                 headers={"X-Freshet": "1"})
                with urllib.request.urlopen(request, timeout=30) as answer:
                    self.assertEqual(answer.status, 200)
                self.assertEqual(set(self.state_partitions(app)), set(USERS[2:]))
                worker.stop()

    def test_partitions_that_producers_choose(self):
        app, worker = self.start("any")
        self.send(app, USERS, {}, partition=lambda number: (number // 2) % 4)
        for user in USERS:
            status, body = self.found(worker, user)
            self.assertEqual((status, body["events"]), (200, 3))
        self.send(app, USERS[:4], {}, partition=lambda number: 3)  # where they do not live
        self.assertEqual(worker.metric("freshet_events_foreign_total"), 12)
        self.assertTrue(all(len(p) == 1 for p in self.state_partitions(app).values()))
        ran = app.command("erase", "--user", USERS[5], "--receipt", "--json")
        self.assertEqual(ran.returncode, EXIT_OK, ran.stdout + ran.stderr)
        receipt = json.loads(ran.stdout)
        self.assertEqual([t["partition"] for t in receipt["tombstones"]], [0, 1, 2, 3])
        events = next(t for t in receipt["topics"] if t["topic"] == app.topics["events"])
        self.assertEqual(events["partitions"], [2])
        self.assertEqual(self.found(worker, USERS[5])[0], 404)

    def test_every_instance_is_asked_where_no_rule_tells(self):
        app = self.app({"state.commit_interval_ms": 100, "events.partitioner": "any"})
        self.items = app.announce(20)
        services = []
        for name in ("a", "b"):
            service = app.service(name, instance_id=name)
            service.overrides.append(f"http.advertise=http://127.0.0.1:{service.port}")
            services.append(service.start())
        until(lambda: all(s.ready() and s.metric("freshet_partitions") == 2 for s in services), "two partitions each")
        self.send(app, USERS, {}, partition=lambda number: number % 4)

        def ask(service, user):
            """urllib follows a 307, and gives up when it comes to the same address again."""
            return until(lambda: next((a for a in [self.found(service, user)] if a[0] != 503), None), "an answer")

        for service in services:
            for user in USERS:
                status, body = ask(service, user)
                self.assertEqual((status, body["events"]), (200, 3))
            self.assertEqual(ask(service, "nobody")[0], 404)
            status, text = service.get("/v1/users/nobody/recommendations?k=3")  # a list as for anybody
            self.assertEqual((status, len(json.loads(text)["items"])), (200, 3))

    def test_a_receipt_tells_where_a_user_is_left(self):
        app, worker = self.start("crc32")
        self.send(app, USERS, {})
        worker.stop()
        user, places = next((u, p) for u, p in sorted(self.state_partitions(app).items()) if p != [0])
        ran = app.command("erase", "--user", user, "--receipt", "--partition", "0", "--timeout", "0")
        self.assertEqual(ran.returncode, EXIT_UNAVAILABLE, ran.stderr)
        self.assertIn(f"NOT erased: the newest record under the id has a value in partition {places[0]}", ran.stdout)
        app.service("other").start_ready()  # a tombstone in another partition goes on to the user's home
        until(lambda: user not in self.state_partitions(app), "the erasure at home")
        ran = app.command("erase", "--user", user, "--receipt")
        self.assertEqual(ran.returncode, EXIT_OK, ran.stdout)
        self.assertNotIn("NOT erased", ran.stdout)


if __name__ == "__main__":
    main()
