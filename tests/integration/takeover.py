"""How long users get no lists after kill -9 of the process that has their partitions. Two processes with a warm standby
and a state of USERS users are killed in turn. Printed: MB of state, the longest time without lists in one partition, and
what the take-over had to read. With RESTART_S the killed process is started again after so many seconds, as a supervisor
does.

`scripts/bench takeover` runs it. It ends with an error when a process does not take over; times are only printed.
"""

import os
import random
import re
import threading
import time

from harness import PARTITIONS, Case, ListClock, click, main, until

USERS = int(os.environ.get("USERS", 20000))
DIM = int(os.environ.get("DIM", 1024))
TURNS = int(os.environ.get("TURNS", 4))
SESSION_MS = int(os.environ.get("SESSION_MS", 15000))
RESTART_S = float(os.environ.get("RESTART_S", 0))
ITEMS, PER_SECOND, LOAD_S = 50, 400, 1800


def folder_mb(folder):
    return sum(path.stat().st_size for path in folder.rglob("*.sst")) / 1e6


class Takeover(Case):
    def send(self, user):
        self.freshet.send("events", f"user-{user}", click(f"user-{user}", f"item-{user % ITEMS}"))

    def send_at(self, stopped):
        started, sent = time.monotonic(), 0
        while not stopped.wait(0.01):
            due = int((time.monotonic() - started) * PER_SECOND)
            for _ in range(sent, due):
                self.send(random.randrange(USERS))
            sent = due

    def held_by(self, worker):
        return worker.ready() and worker.metrics().get("freshet_partitions")

    def held(self, counts):
        return [self.held_by(worker) for worker in self.workers] == counts

    def follow(self):
        return all(worker.metrics().get("freshet_standby_lag_records", 1) < PER_SECOND for worker in self.workers)

    def test_takeover(self):
        self.freshet = self.app({"state.standby": 1, "model.dim": DIM, "model.negatives": 1,
                                 "kafka.session.timeout.ms": SESSION_MS,
                                 "kafka.heartbeat.interval.ms": 1000, "kafka.transaction.timeout.ms": 30000})
        self.freshet.announce(ITEMS)
        self.workers = [self.freshet.service(name).start() for name in ("first", "second")]
        until(lambda: self.held([2, 2]), "both have two partitions")
        for user in range(USERS):
            self.send(user)
            if user % 10000 == 0:
                self.freshet.flush()
        self.freshet.settle(LOAD_S)
        until(self.follow, "both stand by", LOAD_S)
        stopped = threading.Event()
        sender = threading.Thread(target=self.send_at, args=(stopped,))
        sender.start()
        self.addCleanup(sender.join)
        self.addCleanup(stopped.set)
        lists = ListClock(self.freshet)
        self.addCleanup(lists.stop)
        gaps = [self.turn(lists, *self.workers[:: 1 if n % 2 == 0 else -1]) for n in range(TURNS)]
        print(f"session time-out {SESSION_MS / 1000:g} s: median {sorted(gaps)[len(gaps) // 2]:.1f} s, worst "
              f"{max(gaps):.1f} s without lists in the worst partition, of {TURNS} turns", flush=True)

    def turn(self, lists, victim, survivor):
        until(lambda: self.held([2, 2]) and self.follow(), "both have two partitions and stand by",
              LOAD_S)
        until(lambda: time.monotonic() - min(arrivals[-1] for arrivals in lists.arrivals.values()) < 1, "lists flow")
        time.sleep(2)
        before, begun = len(survivor.log()), time.monotonic()
        victim.kill()
        if RESTART_S:
            time.sleep(RESTART_S)
            victim.start()
            until(lambda: self.held([2, 2]), "it is back", LOAD_S)
        else:
            until(lambda: self.held_by(survivor) == PARTITIONS, "its neighbour has taken over", LOAD_S)
        time.sleep(2)
        gap, mb = lists.worst_gap(begun), folder_mb(survivor.state)
        found = re.findall(r"partition.restoring partition=\d+ from=(\d+) to=(\d+)", survivor.log()[before:])
        print(f"{USERS} users, {mb:.0f} MB of state: {gap:.1f} s without lists, "
              f"{sum(int(to) - int(start) for start, to in found)} records read to take over", flush=True)
        if not RESTART_S:
            victim.start()
        return gap


if __name__ == "__main__":
    main()
