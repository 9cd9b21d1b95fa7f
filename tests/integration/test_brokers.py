"""Three brokers, of which one dies for good while the group changes: no process hangs, and SIGTERM is obeyed."""

import collections
import signal
import threading
import time

from harness import EXIT_OK, EXIT_UNAVAILABLE, AdminClient, Broker, Case, Ledger, decode_lists, main, until

WITHIN_S = 12  # without any list, whatever else happens
ITEMS = 50


class Brokers(Case):
    def leader_of_most(self, app, topic, but):
        """The broker that leads most partitions, other than `but`."""
        known = AdminClient({"bootstrap.servers": app.bootstrap}).list_topics(timeout=20).topics[app.topics[topic]]
        led = collections.Counter(p.leader for p in known.partitions.values() if p.leader != but)
        return led.most_common(1)[0][0]

    def longest_gap(self, app, since, until_s):
        """Seconds without a list in any partition, by the times of the lists, between two wall clocks."""
        times = sorted(entry["generated_at"].timestamp() for entry in decode_lists(app.read("recommendations", False)))
        marks = [since, *(t for t in times if since < t < until_s), until_s]
        return max(b - a for a, b in zip(marks, marks[1:]))

    def test_a_dead_leader_and_a_rebalance(self):
        """The third process asks for the range of a partition whose leader has just died; nobody waits for that leader."""
        cluster = Broker(self, brokers=3)
        cluster.start()
        app = self.app({"topics.replication": 3, "kafka.session.timeout.ms": 15000,
                        "kafka.heartbeat.interval.ms": 1000, "kafka.transaction.timeout.ms": 30000},
                       bootstrap=cluster.bootstrap)
        app.announce(ITEMS)
        workers = [app.service(f"worker-{n}").start() for n in range(2)]
        for worker in workers:
            worker.await_ready()
        ledger, stopped = Ledger(app, 200, ITEMS), threading.Event()
        producing = threading.Thread(target=ledger.send_at, args=(50, stopped))
        producing.start()
        self.addCleanup(stopped.set)
        time.sleep(3)
        # Without its active controller, Kafka first has to agree on another one, which is not the matter here.
        dead = self.leader_of_most(app, "users", cluster.controller())
        cluster.kill(dead)
        killed = time.time()
        time.sleep(1)
        workers.append(app.service("worker-2").start())
        until(lambda: all(worker.ready() for worker in workers), "all three processes have partitions")
        time.sleep(3)
        gap = self.longest_gap(app, killed, time.time())
        print(f"longest time without a list: {gap:.1f} s")
        self.assertLess(gap, WITHIN_S)

        stopped.set()
        producing.join()
        ledger.verify(self)

        # Another one dies. Nothing can be committed now, and a process that starts has to wait.
        cluster.kill(next(n for n in (1, 2, 3) if n != dead))
        waiting = app.service("worker-3").start()
        until(lambda: "kafka.waiting" in waiting.log(), "worker-3 says that it waits")
        for worker in [*workers, waiting]:
            worker.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        codes = [worker.wait(30) for worker in [*workers, waiting]]
        self.assertLess(time.monotonic() - began, 15)
        self.assertTrue(set(codes) <= {EXIT_OK, EXIT_UNAVAILABLE}, codes)


if __name__ == "__main__":
    main()
