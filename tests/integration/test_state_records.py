"""Records in the topics of state that no worker has written, or that are damaged: they end nothing, neither a worker that
runs nor a start with an empty folder; the state is as if they had never been there."""

import shutil
import struct

from confluent_kafka import Producer

from harness import SCHEMAS, Case, click, decode, id_key, main, single_object, until

EMPTY_USER = {field["name"]: b"" if field["type"] == "bytes" else field.get("default")
              for field in SCHEMAS["UserState"].parsed["fields"]}


def strange_delta():
    return single_object(SCHEMAS["ItemDelta"], {
        "worker": "evil", "events": 1, "items": struct.pack("<Q", id_key("item-1")), "values": b"\xff" * 200,
        "trace": bytes(4), "globals": b""})


class Strangers(Case):
    def forge(self, app, topic, key, value, partition=0, headers=None):
        failed = []
        producer = Producer({"bootstrap.servers": app.bootstrap})
        producer.produce(app.topics[topic], key=key, value=value, partition=partition, headers=headers,
                         on_delivery=lambda error, message: failed.append(error) if error else None)
        self.assertEqual(producer.flush(30), 0)
        self.assertEqual(failed, [])

    def state_of(self, app):
        return {user: (row["events"], row["event_checksum"]) for user, row in app.users().items()}

    def test_state_is_as_if_they_had_not_been_there(self):
        app = self.app({"state.items_interval_s": 1, "state.checkpoint_interval_s": 1})
        app.announce(20)
        worker = app.service().start_ready()
        for number in range(60):
            app.send("events", f"user-{number % 6}", click(f"user-{number % 6}", f"item-{number % 20}"))
        app.settle()
        before = self.state_of(app)
        state = until(lambda: next((r for r in app.read("item_states") if r.key.startswith(b"\0item")), None),
                      "a checkpoint of an item")
        halved = decode("ItemState", state.value)
        halved["learned"] = halved["learned"][:len(halved["learned"]) // 2]
        row = next(r for r in app.read("users") if not r.key.startswith(b"\0"))
        sealed = dict(row.headers or [])
        self.assertIn("freshet.state", sealed)
        self.forge(app, "item_deltas", None, b"garbage")
        self.forge(app, "item_deltas", None, strange_delta())
        self.forge(app, "generations", b"serving", b"garbage")
        self.forge(app, "item_states", state.key, single_object(SCHEMAS["ItemState"], halved), state.partition)
        self.forge(app, "users", b"stranger", b"garbage")
        self.forge(app, "users", b"\0d" + bytes(8), b"\xff" * 100)
        self.forge(app, "users", b"stranger", single_object(SCHEMAS["UserState"], {**EMPTY_USER, "user_id": "x"}))
        # The bytes of a row have changed on their way; its header has not.
        self.forge(app, "users", row.key, row.value[:-1] + b"\x55", row.partition, list(sealed.items()))
        until(lambda: worker.metric("freshet_state_skipped_total") >= 2, "both deltas are passed over")
        worker.kill()
        shutil.rmtree(worker.state)
        worker.start_ready()
        app.send("events", "user-1", click("user-1", "item-1"))
        app.settle()
        self.assertGreaterEqual(worker.metric("freshet_state_skipped_total"), 5)  # four rows and an item state
        self.assertIn(f"topic={app.topics['users']} partition=0 offset=", worker.log())
        after = self.state_of_worker(app, worker)
        self.assertEqual(after["user-1"], before["user-1"][0] + 1)
        self.assertEqual({u: n for u, n in after.items() if u != "user-1"},
                         {u: n for u, (n, _) in before.items() if u != "user-1"})

    def state_of_worker(self, app, worker):
        """How many events of each user the worker knows: it has restored them, and writes them with the next event."""
        for user in [f"user-{number}" for number in range(6)]:
            app.send("events", user, click(user, "item-2", event_id=f"again-{user}"))
        app.settle()
        known = {}
        for record in app.read("users"):
            if record.key.startswith(b"user-"):
                try:
                    known[record.key.decode()] = decode("UserState", record.value)["events"] - 1
                except Exception:  # a forged row
                    continue
        return known


if __name__ == "__main__":
    main()
