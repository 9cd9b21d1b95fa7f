"""The soak: three brokers, three processes with a warm standby, events all the time, and a fault every few seconds. At
the end: a table of the faults with the longest time without lists, whether each event was learned exactly once and each
list is the newest, and how the resident memory of a process that nobody kills has grown after the first half.

scripts/soak HOURS runs it. SOAK_SEED repeats the order of the faults. It ends with an error when the result is wrong;
times and memory are only printed.
"""

import os
import random
import shutil
import signal
import threading
import time

from confluent_kafka import Producer
from harness import Broker, Case, Ledger, ListClock, click, main, until

HOURS = float(os.environ.get("SOAK_HOURS", 1))
SEED = int(os.environ.get("SOAK_SEED", time.time_ns() % 10**6))
USERS, ITEMS, PER_SECOND = 300, 100, 50
READY_S = 180
MEMORY_EVERY_S = 10


def slope_per_hour(samples):
    """Least squares of [(seconds, MB)], in MB an hour; None: too few."""
    if len(samples) < 3:
        return None
    mean_x = sum(x for x, _ in samples) / len(samples)
    mean_y = sum(y for _, y in samples) / len(samples)
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return 3600 * sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread


class Soak(Case):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.cluster = Broker(self, brokers=3)
        self.cluster.start()
        self.freshet = self.app({"topics.replication": 3, "state.standby": 1, "kafka.session.timeout.ms": 6000,
                                 "kafka.heartbeat.interval.ms": 1000, "kafka.transaction.timeout.ms": 30000,
                                 "log.level": "warn"}, bootstrap=self.cluster.bootstrap)
        # A broker that dies makes producers send again; without idempotence there would be duplicates in the log.
        self.freshet.producer = Producer({"bootstrap.servers": self.cluster.bootstrap, "partitioner": "murmur2_random",
                                          "enable.idempotence": True, "max.in.flight": 1, "linger.ms": 2, "log_level": 2,
                                          "message.timeout.ms": 600000})
        self.freshet.announce(ITEMS)
        # The first one is killed by no fault: its memory is watched.
        self.workers = [self.freshet.service(f"worker-{n}").start() for n in range(3)]
        self.all_ready()

    def all_ready(self):
        until(lambda: all(worker.ready() for worker in self.workers), "all processes are ready", READY_S)

    def victim(self):
        return self.random.choice(self.workers[1:])

    # ---- the faults; each returns when the cluster is whole again ----

    def process_killed(self):
        """kill -9; a supervisor starts it again after some seconds."""
        worker = self.victim()
        worker.kill()
        time.sleep(self.random.choice([1, 5, 15]))
        worker.start()

    def process_and_folder_lost(self):
        worker = self.victim()
        worker.kill()
        shutil.rmtree(worker.state)
        worker.start()

    def process_frozen(self):
        """As long as its session, or longer: the group gives its partitions away, and it wakes up."""
        worker = self.victim()
        worker.process.send_signal(signal.SIGSTOP)
        time.sleep(self.random.choice([2, 10]))
        worker.process.send_signal(signal.SIGCONT)
        time.sleep(2)
        if worker.process.poll() is not None:  # told that another one has taken over: its supervisor starts it again
            worker.wait()
            worker.start()

    def rolling_restart(self):
        for worker in self.workers[1:]:
            self.assertEqual(worker.stop(), 0)
            worker.start_ready()

    def one_more_comes_and_goes(self):
        extra = self.freshet.service(f"extra-{len(self.freshet.services)}").start()
        until(extra.ready, "the extra process is ready", READY_S)
        time.sleep(2)
        self.assertEqual(extra.stop(), 0)

    def broker_killed(self):
        """Two of three brokers go on; the third one comes back after a while."""
        self.cluster.kill(self.random.choice([1, 2, 3]))
        time.sleep(self.random.choice([5, 20]))
        self.cluster.start()

    def broker_and_process_killed(self):
        self.cluster.kill(self.random.choice([1, 2, 3]))
        self.process_killed()
        time.sleep(10)
        self.cluster.start()

    def bad_records(self):
        for n in range(500):
            self.freshet.send("events", f"stranger-{n}", self.random.choice([b"", b"\xc3\x01", click("somebody", "item-1")]))

    def new_items(self):
        self.freshet.announce(ITEMS)

    FAULTS = (process_killed, process_and_folder_lost, process_frozen, rolling_restart, one_more_comes_and_goes,
              broker_killed, broker_and_process_killed, bad_records, new_items)

    # ---- the run ----

    def test_soak(self):
        ledger, stopped = Ledger(self.freshet, USERS, ITEMS), threading.Event()
        producing = threading.Thread(target=ledger.send_at, args=(PER_SECOND, stopped))
        producing.start()
        self.addCleanup(stopped.set)
        lists = ListClock(self.freshet)
        self.addCleanup(lists.stop)
        begun, memory, table = time.monotonic(), [], {fault.__name__: [] for fault in self.FAULTS}
        print(f"soak for {HOURS} h, seed {SEED}", flush=True)
        while time.monotonic() - begun < HOURS * 3600:
            fault = self.random.choice(self.FAULTS)
            at = time.monotonic()
            fault(self)
            self.all_ready()
            self.rest(begun, memory, self.random.choice([2, 8]))
            table[fault.__name__].append(lists.longest_gap(at))
            print(f"{(at - begun) / 60:7.1f} min  {fault.__name__:28} {table[fault.__name__][-1]:6.1f} s", flush=True)
        stopped.set()
        producing.join()
        ledger.verify(self)
        self.report(table, memory, ledger.count)

    def rest(self, begun, memory, seconds):
        """A quiet time, in which the memory of the first process is noted."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.freshet.expect_running()
            now = time.monotonic() - begun
            if not memory or now - memory[-1][0] >= MEMORY_EVERY_S:
                memory.append((now, self.workers[0].rss_mb()))
            time.sleep(0.5)

    def report(self, table, memory, events):
        print(f"\n{'fault':30} times  longest time without lists")
        for name, gaps in table.items():
            print(f"{name.replace('_', ' '):30} {len(gaps):5}  {f'{max(gaps):.1f} s' if gaps else '-'}")
        slope = slope_per_hour(memory[len(memory) // 2:])
        print(f"\n{events} events, each learned exactly once; every user's list is that of the newest event")
        if slope is not None:
            print(f"resident memory of worker-0: {memory[0][1]:.0f} MB at the start, {memory[-1][1]:.0f} MB at the end, "
                  f"{slope:+.1f} MB an hour after the first half", flush=True)


if __name__ == "__main__":
    main()
