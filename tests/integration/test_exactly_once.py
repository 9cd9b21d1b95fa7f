"""kill -9 at random moments, again and again, while events flow: at the end every event has been learned exactly once, and
every user's list is that of the newest event.

KILLS and EVENTS (for each test) make it longer, SEED repeats the same moments."""

import os
import random
import threading
import time

from harness import EXIT_OK, Case, Ledger, decode, main

KILLS = int(os.environ.get("KILLS", 6))
EVENTS = int(os.environ.get("EVENTS", 12000))
SEED = int(os.environ.get("SEED", random.randrange(10**6)))
ITEMS = 200
USERS = 500


class KillNine(Case):
    def setUp(self):
        super().setUp()
        print(f"(SEED={SEED} KILLS={KILLS} EVENTS={EVENTS}) ", end="", flush=True)
        self.random = random.Random(SEED)

    def torment(self, settings, instances, kills=KILLS, events=EVENTS):
        """instances: the instance id of each process, None for a dynamic one. Returns (ledger, lists)."""
        app = self.app({"state.commit_interval_ms": 1000, **settings})  # the default: much is learned again after a kill
        app.announce(ITEMS)
        workers = [app.service(f"worker-{i}", instance_id=instance).start() for i, instance in enumerate(instances)]
        for worker in workers:
            worker.await_ready()
        ledger, stopped = Ledger(app, USERS, ITEMS), threading.Event()
        started = time.monotonic()
        seconds = kills * 2.5
        producer = threading.Thread(target=ledger.send_at, args=(events / seconds, stopped))
        producer.start()
        # Moments anywhere: while it learns, commits, joins or restores.
        for _ in range(kills):
            time.sleep(self.random.uniform(0.3, 4.0))
            victim = self.random.choice(workers)
            victim.expect_running()
            victim.kill()
            time.sleep(self.random.choice([0, 0, 1.0]))
            victim.start()
        while ledger.count < events:
            time.sleep(0.1)
        stopped.set()
        producer.join()
        lists = ledger.verify(self)
        self.check_deltas(app, ledger.count)
        for worker in workers:
            self.assertEqual(worker.stop(), EXIT_OK)
        print(f"({ledger.count} events, {kills} kills, {len(lists)} lists, {self.went_back(lists)} of them older than one "
              f"before, {time.monotonic() - started:.0f} s) ", end="", flush=True)
        return ledger, lists

    def check_deltas(self, app, events):
        """What was learned about items has been written once, too."""
        deltas = [decode("ItemDelta", record.value) for record in app.read("item_deltas")]
        self.assertEqual(sum(delta["events"] for delta in deltas), events)

    @staticmethod
    def went_back(lists):
        newest, count = {}, 0
        for entry in lists:
            held = newest.setdefault(entry["user_id"], entry["version_offset"])
            count += entry["version_offset"] < held
            newest[entry["user_id"]] = max(held, entry["version_offset"])
        return count

    def test_one_process(self):
        self.torment({}, ["a"])

    def test_two_processes(self):
        self.torment({}, [None, None])

    def test_committed_delivery(self):
        # Without texts, since a new one may refresh a list without an event, rightly under the same version.
        settings = {"app.delivery": "committed", "text.encoder": "none"}
        _, lists = self.torment(settings, ["a", "b"], max(2, KILLS // 2), EVENTS // 2)
        # A read_committed reader gets no list twice and none late.
        versions = [(entry["user_id"], entry["version_offset"]) for entry in lists]
        self.assertEqual(len(versions), len(set(versions)))
        self.assertEqual(self.went_back(lists), 0)


if __name__ == "__main__":
    main()
