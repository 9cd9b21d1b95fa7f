"""What operators rely on: draining, fencing, taking over, restoring, the HTTP endpoints, memory."""

import signal
import threading
import time

from harness import EXIT_FAILED, EXIT_FENCED, EXIT_OK, Case, Ledger, main, until

ITEMS = 50


class OperationsCase(Case):
    def start(self, settings=None, users=40, instances=(None,)):
        self.freshet = self.app(settings)
        self.freshet.announce(ITEMS)
        self.workers = [self.freshet.service(f"worker-{i}", instance_id=instance).start()
                        for i, instance in enumerate(instances)]
        for worker in self.workers:
            worker.await_ready()
        self.worker = self.workers[0]
        self.ledger = Ledger(self.freshet, users, ITEMS)

    def events_learned(self, worker):
        return sum(value for series, value in worker.metrics().items() if series.startswith("freshet_events_total"))


class Stopping(OperationsCase):
    def test_sigterm_drains(self):
        # Without draining the next commit would be a minute away.
        self.start({"state.commit_interval_ms": 60000})
        self.ledger.send(400)
        self.freshet.flush()
        until(lambda: self.events_learned(self.worker) == 400, "everything is learned")
        self.assertGreater(self.freshet.uncommitted_events(), 0)
        self.assertEqual(self.worker.stop(), EXIT_OK)
        self.assertEqual(self.freshet.uncommitted_events(), 0)
        lists = len(self.freshet.read("recommendations"))
        self.worker.start_ready()
        time.sleep(1)
        self.assertEqual(self.events_learned(self.worker), 0)
        self.assertEqual(len(self.freshet.read("recommendations")), lists)
        self.ledger.verify(self)

    def test_sigint_under_load(self):
        self.start()
        self.ledger.send(5000)
        self.freshet.flush()
        self.worker.process.send_signal(signal.SIGINT)
        self.assertEqual(self.worker.wait(), EXIT_OK)
        self.worker.start_ready()
        self.ledger.verify(self)


class Instances(OperationsCase):
    def partitions_held(self):
        return [worker.metrics().get("freshet_partitions") for worker in self.workers]

    def test_same_instance_id_fences(self):
        self.start(instances=["a"])
        self.ledger.send(100)
        self.freshet.settle()
        second = self.freshet.service("second", instance_id="a").start_ready()
        self.ledger.send(100)
        self.assertEqual(self.worker.wait(), EXIT_FENCED)
        self.assertIn("took this one's place", self.worker.log())
        self.ledger.send(100)
        self.ledger.verify(self)
        second.expect_running()

    def test_two_share_and_one_takes_over(self):
        self.start(instances=[None, None])
        until(lambda: self.partitions_held() == [2, 2], "each has half of the partitions")
        self.ledger.send(1000)
        self.freshet.settle()
        learned = [self.events_learned(worker) for worker in self.workers]
        self.assertEqual(sum(learned), 1000)
        self.assertGreater(min(learned), 0)
        self.workers[1].kill()
        self.ledger.send(1000)
        self.worker.await_metric("freshet_partitions", 4)
        self.ledger.verify(self)
        self.assertEqual(self.events_learned(self.worker) + learned[1], 2000)


    def test_a_paused_process_does_no_harm(self):
        """It comes back with records in hand that meanwhile belong to another, who has learned them. If it was paused inside
        of a transaction, the broker has aborted that one, and it goes on with the next."""
        self.start({"kafka.transaction.timeout.ms": 5000}, instances=[None, None])
        paused = self.workers[1]
        stopped = threading.Event()
        producer = threading.Thread(target=self.ledger.send_at, args=(1000, stopped))
        producer.start()
        for _ in range(2):
            time.sleep(1)
            paused.process.send_signal(signal.SIGSTOP)
            self.worker.await_metric("freshet_partitions", 4)
            time.sleep(1)
            paused.process.send_signal(signal.SIGCONT)
            until(lambda: self.partitions_held() == [2, 2], "back")
        stopped.set()
        producer.join()
        self.ledger.verify(self)
        self.assertEqual([worker.stop() for worker in self.workers], [EXIT_OK, EXIT_OK])


class Restoring(OperationsCase):
    def test_only_the_tail(self):
        self.start(users=200)
        self.ledger.send(2000)
        self.freshet.settle()
        self.worker.kill()
        self.worker.start_ready()
        # At most the one commit that had not reached RocksDB.
        self.assertLess(self.worker.metric("freshet_restored_records_total"), 210)
        self.ledger.send(200)
        self.ledger.verify(self)

    def test_from_a_damaged_folder(self):
        """Whatever else Freshet keeps in the folder, its damaged files move aside, and all users come back."""
        self.start()
        self.ledger.send(400)
        self.ledger.verify(self)
        self.assertEqual(self.worker.stop(), EXIT_OK)
        damages = [lambda path: path.unlink(), lambda path: path.write_bytes(b"\xff" + path.read_bytes()[1:])]
        for name, damage in zip(("CURRENT", "MANIFEST-*"), damages):
            for path in list(self.worker.state.glob(name)):
                damage(path)
            self.worker.log_path.unlink()
            self.worker.start_ready()
            self.assertIn("state.damaged", self.worker.log())
            self.assertEqual(self.worker.stop(), EXIT_OK)
        self.worker.start_ready()
        self.ledger.send(40)
        self.ledger.verify(self)

    def test_from_a_table_that_breaks_while_running(self):
        """A read meets the damage. The exit code is one that a supervisor answers with a start, and that start mends it."""
        self.start(users=1000)  # more than a start reads
        self.ledger.send(1000)
        self.freshet.settle()
        self.assertEqual(self.worker.stop(), EXIT_OK)
        self.worker.start_ready()  # what the log of RocksDB had is in tables now
        for path in self.worker.state.glob("*.sst"):
            try:
                with path.open("r+b") as table:
                    damaged = bytes(byte ^ 0x10 for byte in table.read())
                    table.seek(0)
                    table.write(damaged)
            except FileNotFoundError:
                pass  # a compaction has removed it
        self.ledger.send(40)
        self.freshet.flush()
        self.assertEqual(self.worker.wait(), EXIT_FAILED, self.worker.last_line())
        self.assertIn("the next start moves it aside and restores the state from Kafka", self.worker.last_line())
        self.worker.start_ready()
        self.assertIn("state.damaged", self.worker.log())
        self.ledger.verify(self)

    def test_from_nothing(self):
        self.start(users=200)
        self.ledger.send(2000)
        self.freshet.settle()
        before = self.freshet.users()
        fresh = self.freshet.service("elsewhere")
        self.assertEqual(self.worker.stop(), EXIT_OK)
        fresh.start_ready()
        self.assertGreaterEqual(fresh.metric("freshet_restored_records_total"), 200)
        self.ledger.send(200)
        self.ledger.verify(self)
        after = self.freshet.users()
        for user, state in before.items():
            self.assertEqual(after[user]["events"], state["events"] + 1)
            self.assertEqual(after[user]["recent"][1:], state["recent"][:19])
            self.assertEqual(after[user]["positives"], state["positives"] + 1)


class Watching(OperationsCase):
    def test_endpoints(self):
        self.start()
        self.assertEqual(self.worker.get("/livez")[0], 200)
        self.assertEqual(self.worker.get("/readyz")[0], 200)
        self.assertEqual(self.worker.get("/nonsense")[0], 404)
        self.ledger.send(100)
        self.freshet.settle()
        _, text = self.worker.get("/metrics")
        kinds = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")}
        helped = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}
        self.assertEqual(set(kinds), helped)
        for name, kind in kinds.items():
            self.assertTrue(name.startswith(("freshet_", "process_")), name)
            self.assertEqual(name.endswith("_total"), kind == "counter", name)
        self.assertEqual(kinds["freshet_event_to_list_seconds"], "histogram")
        metrics = self.worker.metrics()
        self.assertEqual(metrics['freshet_event_to_list_seconds_bucket{le="+Inf"}'],
                         metrics["freshet_event_to_list_seconds_count"])
        self.assertEqual(metrics["freshet_event_to_list_seconds_count"], metrics["freshet_lists_published_total"])
        buckets = [value for series, value in metrics.items()
                   if series.startswith("freshet_event_to_list_seconds_bucket")]
        self.assertEqual(buckets, sorted(buckets))
        until(lambda: self.worker.metric("freshet_lag_events") == 0, "no lag")
        self.worker.process.send_signal(signal.SIGSTOP)  # something is behind: the lag shows it when it goes on
        self.ledger.send(100)
        self.freshet.flush()
        self.worker.process.send_signal(signal.SIGCONT)
        self.ledger.verify(self)

    def test_memory(self):
        self.start(users=2000)
        at_rest = self.worker.rss_mb()
        stopped, highest = threading.Event(), 0
        producer = threading.Thread(target=self.ledger.send_at, args=(2000, stopped))
        producer.start()
        for _ in range(40):
            time.sleep(0.2)
            highest = max(highest, self.worker.rss_mb())
        stopped.set()
        producer.join()
        self.ledger.verify(self)
        print(f"(RSS {at_rest:.0f} MB at rest, {highest:.0f} MB at 2,000 events/s) ", end="", flush=True)
        self.assertLess(highest, 200)


if __name__ == "__main__":
    main()
