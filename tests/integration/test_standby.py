"""A warm standby: the state of a process that dies is in the store of its neighbour already."""

import re

from harness import Case, Ledger, main, until


class Standby(Case):
    def restored(self, service):
        """(from, to) of each partition's last restore."""
        found = re.findall(r"partition.restoring partition=(\d+) from=(\d+) to=(\d+)", service.log())
        return {int(partition): (int(start), int(end)) for partition, start, end in found}

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
        before = set(self.restored(second))
        first.kill()
        ledger.send(100)
        until(lambda: second.metrics().get("freshet_partitions") == 4, "the neighbour has taken over", 60)
        until(second.ready, "and is ready", 60)
        for partition, (start, end) in self.restored(second).items():
            self.assertGreater(end, 100)
            self.assertLess(end - start, end / 4, f"partition {partition}, {before} were its own")
        ledger.verify(self)


if __name__ == "__main__":
    main()
