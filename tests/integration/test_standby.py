"""A warm standby: the state of a process that dies is in the store of its neighbour already."""

import re
import signal
import threading
import time

from confluent_kafka import Consumer, TopicPartition
from harness import EXIT_OK, PARTITIONS, Case, Ledger, ListClock, main, until


def restored(service):
    """(from, to) of each partition's last restore."""
    found = re.findall(r"partition.restoring partition=(\d+) from=(\d+) to=(\d+)", service.log())
    return {int(partition): (int(start), int(end)) for partition, start, end in found}


class Standby(Case):
    def test_the_neighbour_has_it_already(self):
        app = self.app({"state.standby": 1, "state.commit_interval_ms": 50, "kafka.session.timeout.ms": 4000,
                        "kafka.heartbeat.interval.ms": 500})
        app.announce(50)
        first, second = [app.service(name).start() for name in ("first", "second")]
        until(lambda: [s.ready() and s.metrics().get("freshet_partitions") for s in (first, second)] == [2, 2],
              "both have two partitions", 60)
        ledger = Ledger(app, 200, 50)
        for _ in range(6):
            ledger.send(100)
            app.settle()
        until(lambda: all((s.metrics()["freshet_standby_partitions"], s.metrics()["freshet_standby_lag_records"]) == (2, 0)
                          for s in (first, second)), "both stand by", 60)
        before = set(restored(second))
        first.kill()
        ledger.send(100)
        until(lambda: second.metrics().get("freshet_partitions") == 4, "the neighbour has taken over", 60)
        until(second.ready, "and is ready", 60)
        for partition, (start, end) in restored(second).items():
            self.assertGreater(end, 100)
            self.assertLess(end - start, end / 4, f"partition {partition}, {before} were its own")
        ledger.verify(self)


class Spare(Case):
    def test_a_process_without_partitions_is_ready(self):
        """More processes than partitions: a rolling update that waits for each one must come to its end."""
        app = self.app()
        app.announce(5)
        services = [app.service(f"s{n}").start() for n in range(PARTITIONS + 1)]
        until(lambda: sorted(s.metrics().get("freshet_partitions", -1) for s in services) == [0] + [1] * PARTITIONS
              and all(s.ready() for s in services), "all are ready", 60)
        spare = next(s for s in services if s.metric("freshet_partitions") == 0)
        next(s for s in services if s is not spare).stop()
        until(lambda: spare.metric("freshet_partitions") == 1 and spare.ready(), "it takes over", 60)


class OpenTransaction(Case):
    """A process dies inside a transaction. Readers of committed records see nothing behind it until it has ended."""

    def open_partitions(self, app):
        """Partitions of the changelog whose committed records end before their end."""
        ends = []
        for level in ("read_committed", "read_uncommitted"):
            reader = Consumer({"bootstrap.servers": app.bootstrap, "group.id": "nobody", "isolation.level": level})
            ends.append([reader.get_watermark_offsets(TopicPartition(app.topics["users"], p), timeout=10)[1]
                         for p in range(PARTITIONS)])
            reader.close()
        return [p for p, (committed, end) in enumerate(zip(*ends)) if committed < end]

    def stop_inside(self, app, service, owned):
        """Stops the process at a moment when it has a transaction open in one of its partitions."""
        service.process.send_signal(signal.SIGSTOP)
        if owned & set(self.open_partitions(app)):
            return True
        service.process.send_signal(signal.SIGCONT)
        return False

    def test_the_next_owner_ends_it(self):
        app = self.app({"app.delivery": "committed", "state.committed_interval_ms": 50, "kafka.session.timeout.ms": 6000,
                        "kafka.heartbeat.interval.ms": 500, "kafka.transaction.timeout.ms": 600000})
        app.announce(20)
        first = app.service("first").start()
        until(lambda: first.ready() and first.metric("freshet_partitions") == PARTITIONS, "the first has all partitions")
        ledger, stopped = Ledger(app, 40, 20), threading.Event()
        sender = threading.Thread(target=ledger.send_at, args=(300, stopped))
        sender.start()
        try:
            until(lambda: first.metric("freshet_lists_published_total") > 0, "lists come")
            second = app.service("second").start()
            until(lambda: [s.ready() and s.metric("freshet_partitions") for s in (first, second)] == [2, 2], "both have two")
            owned = set(range(PARTITIONS)) - set(restored(second))
            until(lambda: self.stop_inside(app, first, owned), "a transaction is open", 30)
            first.kill()
            until(lambda: second.metric("freshet_partitions") == PARTITIONS and second.ready(), "the second has all")
            until(lambda: "predecessor.fenced" in second.log(), "the open transaction is ended")
        finally:
            stopped.set()
            sender.join()
        ledger.verify(self)
        second.expect_running()
        self.assertEqual(self.open_partitions(app), [])


class Pair(Case):
    """Two processes that share the partitions of a stream that never stops."""

    def start(self, settings):
        self.freshet = self.app(settings)
        self.freshet.announce(20)
        self.workers = [self.freshet.service(name).start() for name in ("first", "second")]
        self.await_share()
        self.ledger, self.stopped = Ledger(self.freshet, 200, 20), threading.Event()
        self.sender = threading.Thread(target=self.ledger.send_at, args=(100, self.stopped))
        self.sender.start()
        self.addCleanup(self.stopped.set)
        self.lists = ListClock(self.freshet)
        self.addCleanup(self.lists.stop)
        until(lambda: all(len(arrivals) > 3 for arrivals in self.lists.arrivals.values()), "each partition has lists")

    def held(self):
        return [worker.ready() and worker.metrics().get("freshet_partitions") for worker in self.workers]

    def await_share(self):
        until(lambda: self.held() == [2, 2], "both have two partitions")

    def await_all(self, worker):
        until(lambda: worker.metrics().get("freshet_partitions") == PARTITIONS, f"{worker.name} has all partitions")

    def verify(self):
        self.stopped.set()
        self.sender.join()
        self.ledger.verify(self)


class Paused(Pair):
    """A process that was only paused comes back when its partitions have an owner already."""

    def pause(self, settings):
        self.start({"app.delivery": "committed", "state.committed_interval_ms": 50, **settings})
        first, second = self.workers
        for _ in range(2):
            time.sleep(3)
            first.process.send_signal(signal.SIGSTOP)
            self.await_all(second)
            time.sleep(1)
            first.process.send_signal(signal.SIGCONT)
            self.await_share()
        self.verify()
        self.assertEqual([worker.stop() for worker in self.workers], [EXIT_OK, EXIT_OK])

    def test_longer_than_its_session(self):
        self.pause({"kafka.session.timeout.ms": 3000, "kafka.heartbeat.interval.ms": 500})


class RollingRestart(Pair):
    """Each of two processes is stopped and started again. The bound is wide, for busy machines; the figure is printed."""

    def restart(self, on_stop, within_s):
        self.start({"app.on_stop": on_stop, "state.standby": 1, "kafka.session.timeout.ms": 15000,
                    "kafka.heartbeat.interval.ms": 1000})
        begun = time.monotonic()
        for worker in self.workers:
            time.sleep(2)
            self.assertEqual(worker.stop(), EXIT_OK)
            worker.start()
            self.await_share()
        time.sleep(2)
        gap = self.lists.worst_gap(begun)
        print(f"on_stop = {on_stop}: {gap:.1f} s without lists in the worst partition ", end="", flush=True)
        self.assertLess(gap, within_s)
        self.verify()

    def test_leave(self):
        self.restart("leave", 10)

    def test_keep(self):
        self.restart("keep", 10)


if __name__ == "__main__":
    main()
