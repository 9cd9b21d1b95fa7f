"""The state of a running app as files, and these files as the state of another app, which goes on as the first would."""

import json
import re
import shutil
import subprocess
import threading
import uuid

import fastavro
from harness import BINARY, EXIT_FAILED, EXIT_OK, EXIT_STATE, EXIT_UNAVAILABLE, EXIT_USAGE, PARTITIONS, SCHEMAS, Case, Ledger, \
    by_version, checksum, click, list_items, main, until

INPUTS = ("events", "items", "requests")


def rows(folder, name):
    """The rows of a file of the export, as any Avro library reads them."""
    for path in sorted(folder.glob(f"{name}*.avro")):
        with open(path, "rb") as file:
            yield from fastavro.reader(file)


class Transfer(Case):
    def command(self, app, *arguments, code=EXIT_OK, says=""):
        ended = app.command(*arguments, timeout_s=90)
        self.assertEqual(ended.returncode, code, ended.stdout + ended.stderr)
        self.assertIn(says, ended.stdout + ended.stderr)
        return ended.stdout

    def export(self, app):
        folder = app.folder / f"export-{uuid.uuid4().hex[:6]}"
        return folder, self.command(app, "export", "--to", folder)

    def other_app(self, source, shared=INPUTS, settings=None):
        """An app with topics of its own, but for the shared ones, which are the source's."""
        app = self.app(settings, create=False)
        app.topics |= {name: source.topics[name] for name in shared}
        app.write_config(settings or {})
        app.create_topics()
        return app

    def check_moment(self, app, folder, ledger):
        """Users and positions are of one moment, which lies before the last event."""
        positions = {(row["topic"], row["partition"]): row["offset"] for row in rows(folder, "positions")}
        expected = {}
        for record in app.read("events"):
            if record.offset < positions.get(("events", record.partition), 0):
                user, event_id = record.key.decode(), SCHEMAS["Click"].read(record.value[10:])["event_id"]
                expected.setdefault(user, []).append(event_id)
        self.assertEqual({row["user_id"]: (row["events"], row["event_checksum"] % 2**64) for row in rows(folder, "users")},
                         {user: (len(ids), checksum(ids)) for user, ids in expected.items()})
        self.assertLess(0, sum(map(len, expected.values())))
        self.assertLess(sum(map(len, expected.values())), ledger.count)

    def learned(self, service):
        return re.findall(r"model.stored hash=(\w+)", service.log())[-1]

    def test_an_app_goes_on_as_the_exported_one_would(self):
        settings = {"state.commit_interval_ms": 200, "topics.partitions": 1}  # one order of events for both
        first = self.app(settings)
        first.announce(40)
        service = first.service().start_ready()
        ledger = Ledger(first, 30, 40)
        stop = threading.Event()
        sender = threading.Thread(target=ledger.send_at, args=(300, stop))
        sender.start()
        until(lambda: len(first.users()) == 30, "all users are known")
        folder, said = self.export(first)  # while events flow
        until(lambda: ledger.count > 1500, "events flow on")
        stop.set()
        sender.join()
        manifest = json.loads((folder / "manifest.json").read_text())
        self.assertEqual(len(list(rows(folder, "items"))), 40)
        self.assertEqual(len(list(rows(folder, "text-vectors"))), 40)
        self.check_moment(first, folder, ledger)
        # Another app with the same input learns the rest, and then knows what the first one knows.
        second = self.other_app(first, settings=settings)
        dry = self.command(second, "import", "--from", folder, "--dry-run", says="nothing was changed")
        self.assertIn("30 users", dry)
        self.assertEqual(second.users(), {})
        done = self.command(second, "import", "--from", folder)
        self.assertIn(f"state hash {manifest['state_hash']}", done)
        # What it exports before it has learned anything else is the same state.
        again = json.loads((self.export(second)[0] / "manifest.json").read_text())
        self.assertEqual(again["state_hash"], manifest["state_hash"])
        twin = second.service("twin").start_ready()
        first.settle()
        second.settle()
        states = [{user: {k: v for k, v in state.items()} for user, state in app.users().items()}
                  for app in (first, second)]
        for state in states:
            for row in state.values():
                row.pop("refresh_since")  # when its list became due
                row.pop("listed")  # what was in its last list, which depends on the moment when it was made
        self.assertEqual(states[0], states[1])
        lists = [[json.loads(s.get(f"/v1/users/user-{n}/recommendations?k=10")[1])["items"] for n in range(30)]
                 for s in (service, twin)]
        self.assertEqual([[i["item_id"] for i in a] for a in lists[0]], [[i["item_id"] for i in a] for a in lists[1]])
        service.stop()
        twin.stop()
        self.assertEqual(self.learned(service), self.learned(twin))
        self.command(second, "import", "--from", folder, code=EXIT_STATE, says="has state")

    def test_another_cluster(self):
        """Topics of its own stand for another cluster: offsets mean nothing there, and there are no items yet."""
        first = self.app()
        first.announce(40)
        service = first.service().start_ready()
        other = first.service("other").start_ready()
        ledger = Ledger(first, 10, 20)
        ledger.send(200)
        first.settle()
        stop = threading.Event()
        sender = threading.Thread(target=ledger.send_at, args=(300, stop))
        sender.start()
        moment, _ = self.export(first)  # of two workers, which commit each for itself
        until(lambda: ledger.count > 1000, "events flow on")
        stop.set()
        sender.join()
        first.settle()
        self.check_moment(first, moment, ledger)
        folder, _ = self.export(first)
        known = ledger.count
        second = self.app()
        self.command(second, "import", "--from", folder, code=EXIT_FAILED, says="--positions latest")
        self.command(second, "import", "--from", folder, "--positions", "exported", code=EXIT_STATE,
                     says="it is not that topic")
        self.command(second, "import", "--from", folder, "--positions", "latest", "--publish-lists",
                     says="it goes on with events that come from now on")
        twin = second.service("twin").start_ready()
        twin.await_metric("freshet_items_listed", 40)
        until(lambda: len(by_version(second.lists())) == 10, "every user has a list")
        self.assertEqual({user: row["events"] for user, row in second.users().items()},
                         {user: row["events"] for user, row in first.users().items()})
        for n in range(10):  # offsets begin at 0: lists of them must win
            second.send("events", f"user-{n}", click(f"user-{n}", "item-3"))
        second.send("events", "user-0", click("user-0", "item-1", event_id="event-0"))  # the exported app has learned it
        second.settle()
        until(lambda: all(entry["version_offset"] >= 0 for entry in by_version(second.lists()).values()), "new lists")
        self.assertTrue(all(list_items(entry) for entry in second.lists()))
        self.assertEqual(sum(row["events"] for row in second.users().values()), known + 10)
        service.stop()
        other.stop()

    def test_what_is_refused(self):
        first = self.app()
        first.announce(5)
        service = first.service().start_ready()
        ledger = Ledger(first, 5, 5)
        ledger.send(50)
        first.settle()
        folder, _ = self.export(first)
        self.command(first, "export", "--to", folder, code=EXIT_FAILED, says="exists")
        self.command(first, "import", "--from", folder, code=EXIT_STATE, says="has state")
        self.command(first, "import", code=EXIT_USAGE, says="--from is needed")
        service.stop()
        self.command(first, "export", "--to", "/nowhere/at/all", code=EXIT_STATE, says="cannot make")
        self.command(first, "export", "--to", first.folder / "x", "-X", "app.id=nobody", code=EXIT_UNAVAILABLE,
                     says="topic nobody.users does not exist")
        self.assertFalse((first.folder / "x").exists() or (first.folder / "x.incoming").exists())
        other = self.other_app(first)
        self.command(other, "import", "--from", first.folder, code=EXIT_UNAVAILABLE, says="is no export")
        self.command(other, "import", "--from", folder, "-X", "model.dim=32", code=EXIT_FAILED, says="model.dim = 16")
        running = self.app({"text.encoder": "none"})  # without state, since there are neither texts nor events
        twin = running.service("twin").start_ready()
        self.command(running, "import", "--from", folder, "--positions", "latest", code=EXIT_STATE,
                     says="the app is running")
        twin.stop()
        wide = self.app({"topics.partitions": PARTITIONS + 1})
        self.command(wide, "import", "--from", folder, "--positions", "latest", code=EXIT_STATE,
                     says=f"the export has {PARTITIONS} partitions")
        # Damage is named by file and block, and nothing is written.
        fresh = self.other_app(first)
        for name, change, says in (
                ("users-00000.avro", lambda data: data[:-20] + bytes([data[-20] ^ 1]) + data[-19:], "block 1 of 1"),
                ("learned.avro", lambda data: data[:-1], "block 1 of 1"),
                ("items.avro", lambda data: data[:40] + b"x" + data[41:], "its header is damaged"),
                ("manifest.json", lambda data: data[:200], "is damaged"),
                ("positions.avro", None, "cannot read")):
            copy = first.folder / "damaged"
            shutil.copytree(folder, copy)
            if change is None:
                (copy / name).unlink()
            else:
                (copy / name).write_bytes(change((copy / name).read_bytes()))
            ended = subprocess.run([BINARY, "import", "--from", copy, "-c", fresh.config_path], capture_output=True,
                                   text=True, timeout=60)
            self.assertIn(ended.returncode, (EXIT_FAILED, EXIT_STATE), ended.stderr)
            self.assertIn(says, ended.stderr)
            self.assertIn(name, ended.stderr)
            shutil.rmtree(copy)
        self.assertEqual(fresh.read("users"), [])
        self.command(fresh, "import", "--from", folder)
        self.assertEqual(len(fresh.users()), 5)


if __name__ == "__main__":
    main()
