"""Items that anybody may publish: vectors of any numbers, more ids than there are places. No record of them ends a
worker, and a restart works with the folder and without it."""

import math
import shutil
import struct

from harness import Case, click, item, main


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


class Limit(Case):
    def test_more_ids_than_max_items(self):
        app = self.app({"model.max_items": 50})
        app.announce(30)
        worker = app.service().start_ready()
        for number in range(200):
            app.send("events", f"user-{number % 10}", click(f"user-{number % 10}", f"unknown-{number}"))
        app.flush()
        app.settle()
        for number in range(40):
            app.put("items", f"new-{number}", item(f"new-{number}"))
        worker.await_metric("freshet_items_known", 50)
        self.assertIn("items.full", worker.log())
        self.assertGreaterEqual(worker.metric("freshet_items_refused_total"), 150 + 40)
        app.settle()
        base = worker.overrides
        for limit, listed in ((20, 20), (1000, 70), (50, 30)):
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


if __name__ == "__main__":
    main()
