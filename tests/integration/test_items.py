"""Items that anybody may publish: vectors of any numbers, more ids than there are places. No record of them ends a
worker, and a restart works with the folder and without it."""

import math
import shutil
import struct

from confluent_kafka import Producer
from confluent_kafka.admin import NewPartitions
from harness import BOOTSTRAP, AdminClient, Case, click, compacted, decode, item, list_items, main, until


def floats(numbers):
    return struct.pack(f"<{len(numbers)}f", *numbers)


# Finite, so each is a direction; zeros are none.
VECTORS = {
    "smallest": [1e-45] * 64,
    "tiny": [-1e-30] * 64,
    "huge": [1e20, -1e20] * 32,
    "largest": [3.4e38] * 64,
    "largest, the encoder's dimension": [3.4e38, -3.4e38] * 128,
    "one number": [3e38],
    "both ends": [3.4e38, 1e-45] * 32,
    "zeros": [0.0] * 64,
    "integers read as floats": struct.unpack("<16f", bytes(range(1, 65))),
}
NOT_FINITE = {"NaN": [math.nan] * 64, "infinite": [1.0, math.inf]}


class Vectors(Case):
    def test_vectors_of_any_numbers(self):
        app = self.app()
        app.announce(20)
        worker = app.service().start_ready()
        for name, numbers in {**VECTORS, **NOT_FINITE}.items():
            app.put("items", name, item(name, vector=floats(numbers)))
            app.put("items", f"{name}, no text", item(f"{name}, no text", title="", vector=floats(numbers)))
        worker.await_metric("freshet_items_listed", 20 + 2 * len(VECTORS))
        for number in range(40):
            app.send("events", f"user-{number}", click(f"user-{number}", f"item-{number % 20}"))
        app.flush()
        app.settle()
        self.assertEqual(len(app.read("dead_letters")), 2 * len(NOT_FINITE))
        worker.kill()
        worker.start_ready()  # from the folder
        worker.await_metric("freshet_items_listed", 20 + 2 * len(VECTORS))
        worker.kill()
        shutil.rmtree(worker.state)
        worker.start_ready()  # from Kafka
        worker.await_metric("freshet_items_listed", 20 + 2 * len(VECTORS))
        self.assertEqual(worker.metric("freshet_texts_failed_total"), 0)


class Growth(Case):
    def test_partitions_added_to_items_while_running(self):
        """Items in the new partitions must not wait for a restart, nor for librdkafka's five minutes."""
        app = self.app()
        app.announce(20)
        workers = [app.service(f"worker-{n}").start_ready() for n in range(2)]
        admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
        name = app.topics["items"]
        admin.create_partitions([NewPartitions(name, 9)])[name].result()
        until(lambda: len(admin.list_topics(name, timeout=10).topics[name].partitions) == 9, "the broker knows the partitions")
        producer = Producer({"bootstrap.servers": BOOTSTRAP})
        for number in range(100, 200):
            producer.produce(name, key=f"item-{number}", value=item(f"item-{number}"), partition=number % 9,
                             on_delivery=lambda error, _: self.assertIsNone(error))
        self.assertEqual(producer.flush(30), 0)
        for worker in workers:
            worker.await_metric("freshet_items_listed", 120)
        for number in range(40):
            app.send("events", f"user-{number}", click(f"user-{number}", f"item-{100 + number}"))
        app.settle()
        self.assertEqual(sum(state["events"] for state in app.users().values()), 40)


class Limit(Case):
    def test_more_ids_than_max_items(self):
        app = self.app({"model.max_items": 50})
        app.announce(30)
        worker = app.service().start_ready()
        for number in range(200):
            app.send("events", f"user-{number % 10}", click(f"user-{number % 10}", f"unknown-{number}"))
        app.flush()
        app.settle()
        for number in range(12):
            app.put("items", f"new-{number}", item(f"new-{number}"))
        until(lambda: "items.nearly_full" in worker.log(), "the warning at 80 %")
        for number in range(12, 40):
            app.put("items", f"new-{number}", item(f"new-{number}"))
        worker.await_metric("freshet_items_listed", 50)  # ids that nobody announces give way
        worker.await_metric("freshet_items_refused_total", 20)
        until(lambda: "items.full" in worker.log(), "the warning at 100 %")
        until(lambda: worker.metric("freshet_items_known") <= 50 + 50 // 4, "unannounced items are parked")
        app.settle()
        base = worker.overrides
        for limit, listed in ((20, 20), (1000, 70), (50, 50)):
            for with_folder in (True, False):
                worker.kill()
                worker.overrides = [*base, f"model.max_items={limit}"]
                if not with_folder:
                    shutil.rmtree(worker.state)
                worker.start_ready()
                app.send("events", "user-1", click("user-1", "item-1"))
                app.flush()
                app.settle()
                self.assertGreaterEqual(worker.metric("freshet_items_listed"), listed)

    def test_ten_times_max_items_come_and_go(self):
        limit, rounds = 40, 10
        app = self.app({"model.max_items": limit})
        worker = app.service().start_ready()
        for turn in range(rounds):
            for number in range(limit if turn > 0 else 0):
                app.send("items", f"{turn - 1}-{number}", None)
            app.flush()
            worker.await_metric("freshet_items_listed", 0)
            for number in range(limit):
                app.send("items", f"{turn}-{number}", item(f"{turn}-{number}"))
            app.flush()
            worker.await_metric("freshet_items_listed", limit)
            for number in range(limit):
                user = f"user-{number % 4}"
                app.send("events", user, click(user, f"{turn}-{number}"))
            app.settle()
        until(lambda: worker.metric("freshet_items_known") <= limit + limit // 4, "withdrawn items are parked")
        self.assertEqual(worker.metric("freshet_items_refused_total"), 0)
        self.assertIn("items.parked", worker.log())
        base = worker.overrides
        for smaller, listed in ((limit // 2, limit // 2), (limit, limit), (1000, limit)):
            for with_folder in (True, False):
                worker.kill()
                worker.overrides = [*base, f"model.max_items={smaller}"]
                if not with_folder:
                    shutil.rmtree(worker.state)
                worker.start_ready()
                worker.await_metric("freshet_items_listed", listed)
        app.send("events", "user-new", click("user-new", f"{rounds - 1}-0"))
        app.settle()
        app.put("items", "0-0", item("0-0"))  # it comes back
        worker.await_metric("freshet_items_listed", limit + 1)
        known = {f"{rounds - 1}-{number}" for number in range(limit)} | {"0-0"}
        newest = compacted(app.read("recommendations", False))
        self.assertGreaterEqual(len(newest), 4)
        for value in newest.values():
            self.assertLessEqual(set(list_items(decode("RecommendationList", value))), known)


if __name__ == "__main__":
    main()
