"""A warm standby: the state of a process that dies is in the store of its neighbour already."""

import re
import signal
import threading

from confluent_kafka import Consumer, TopicPartition
from harness import PARTITIONS, Case, Ledger, main, until


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


if __name__ == "__main__":
    main()
