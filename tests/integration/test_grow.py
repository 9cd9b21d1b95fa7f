"""Partitions are added to `events` of an app that has state: it refuses to go on, and `freshet topics grow` moves the
users, exactly once, however often it is killed on the way."""

import os
import signal
import subprocess
import time

from confluent_kafka.admin import AdminClient, NewPartitions
from harness import BINARY, BOOTSTRAP, EXIT_OK, EXIT_STATE, EXIT_USAGE, Case, click, decode, main, until
from test_lists import murmur2

BEFORE, AFTER, USERS, EVENTS = 4, 6, 200, 3


def home(user, partitions):
    return (murmur2(user.encode()) & 0x7FFFFFFF) % partitions


class Grow(Case):
    def start(self, **settings):
        app = self.app({"state.commit_interval_ms": 100, "topics.partitions": BEFORE, **settings})
        self.items = app.announce(20)
        return app, app.service().start_ready()

    def live(self, app, first, last):
        """Events number `first` to `last` of every user; their ids say so."""
        for n in range(USERS):
            for k in range(first, last):
                app.send("events", f"u{n}", click(f"u{n}", self.items[(n + k) % 20], event_id=f"u{n}-{k}"))
        app.flush()

    def add_partitions(self, *topics):
        admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
        for topic in topics:
            admin.create_partitions([NewPartitions(topic, AFTER)])[topic].result(30)

    def places(self, app):
        """(user, partition) of every row, and event ids in the dedup windows: partition -> bytes."""
        last = {}
        for r in app.read("users"):
            last[(r.key, r.partition)] = r.value
        rows = {(key.decode(), p) for (key, p), value in last.items() if value is not None and key[0] != 0}
        ids = {}
        for (key, p), value in last.items():
            if value is not None and key[0] == 0:
                ids.setdefault(p, set()).update(value[at:at + 8] for at in range(9, len(value), 8))
        return rows, ids

    def learned(self, app):
        """user -> how many events its row has learned."""
        last = {(r.key, r.partition): r.value for r in app.read("users")}
        return {key.decode(): decode("UserState", value)["events"]
                for (key, _), value in last.items() if value is not None and key[0] != 0}

    def grow(self, app, *more, partitions=AFTER):
        return app.command("topics", "grow", "--partitions", str(partitions), *more, timeout_s=120)

    def assert_all_learned(self, app, worker, events):
        until(lambda: all(worker.get(f"/v1/users/u{n}")[0] == 200 for n in range(0, USERS, 20)), "users are known")
        app.settle()
        until(lambda: set(self.learned(app).values()) == {events}, "every event is learned")
        rows, _ = self.places(app)
        self.assertEqual(rows, {(f"u{n}", home(f"u{n}", AFTER)) for n in range(USERS)})

    def test_a_move_that_is_killed_twenty_times(self):
        app, worker = self.start()
        self.live(app, 0, EVENTS)
        app.settle()
        worker.stop()
        rows, ids = self.places(app)
        self.assertEqual(rows, {(f"u{n}", home(f"u{n}", BEFORE)) for n in range(USERS)})
        self.live(app, EVENTS, EVENTS + 1)  # unread, in the partitions of before

        ran = self.grow(app)
        self.assertEqual(ran.returncode, EXIT_OK, ran.stderr)
        self.assertIn("dry run", ran.stdout)
        self.assertEqual(self.places(app), (rows, ids))
        self.assertEqual(self.grow(app, partitions=3).returncode, 1)
        self.assertEqual(app.command("topics", "grow").returncode, EXIT_USAGE)

        killed = 0
        for place in range(20):
            process = subprocess.Popen([BINARY, "topics", "grow", "--partitions", str(AFTER), "--execute", "-c",
                                        app.config_path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            time.sleep(0.03 + 0.025 * place)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate(timeout=30)
            killed += process.returncode == -signal.SIGKILL
        self.assertGreater(killed, 0)
        ran = self.grow(app, "--execute")
        self.assertEqual(ran.returncode, EXIT_OK, ran.stderr)
        moves = sum(home(f"u{n}", BEFORE) != home(f"u{n}", AFTER) for n in range(USERS))
        self.assertTrue("nothing to do" in ran.stdout or f"moved {moves} users" in ran.stdout, ran.stdout)
        rows, grown_ids = self.places(app)
        self.assertEqual(rows, {(f"u{n}", home(f"u{n}", AFTER)) for n in range(USERS)})
        self.assertEqual(set().union(*grown_ids.values()), set().union(*ids.values()))
        self.assertIn("nothing to do", self.grow(app, "--execute").stdout)
        self.assertEqual(app.command("topics", "check").returncode, EXIT_OK)

        worker = app.service().start_ready()
        self.assert_all_learned(app, worker, EVENTS + 1)
        self.assertGreater(worker.metric("freshet_events_forwarded_total"), 0)
        self.live(app, 0, EVENTS + 1)  # a producer tries again: all are known, wherever they were learned
        app.settle()
        self.assertEqual(worker.metric("freshet_events_foreign_total"), 0)
        self.assert_all_learned(app, worker, EVENTS + 1)
        self.live(app, EVENTS + 1, EVENTS + 2)
        self.assert_all_learned(app, worker, EVENTS + 2)

    def test_partitions_that_come_while_it_runs(self):
        app, worker = self.start()
        self.live(app, 0, 1)
        app.settle()
        self.add_partitions(app.topics["events"])
        self.assertEqual(worker.wait(30), EXIT_STATE)
        self.assertIn(f"freshet topics grow --partitions {AFTER}", worker.log())
        checked = app.command("topics", "check")
        self.assertEqual(checked.returncode, EXIT_STATE, checked.stderr)
        self.assertIn("topics grow", checked.stderr)
        # All topics are grown by hand: only the state is behind.
        self.add_partitions(app.topics["requests"], app.topics["users"])
        checked = app.command("topics", "check")
        self.assertEqual(checked.returncode, EXIT_STATE, checked.stdout)
        self.assertIn(f"is divided into {BEFORE}", checked.stderr)
        again = app.service("again").start()
        self.assertEqual(again.wait(30), EXIT_STATE)
        ran = self.grow(app, "--execute")
        self.assertEqual(ran.returncode, EXIT_OK, ran.stderr)
        worker = app.service("third").start_ready()
        self.live(app, 1, 2)
        self.assert_all_learned(app, worker, 2)


if __name__ == "__main__":
    main()
