"""`freshet offsets` on a real broker: where an app starts, what going forward and back means for its state."""

from harness import (EXIT_FAILED, EXIT_OK, EXIT_STATE, EXIT_USAGE, Case, by_version, click, main, now_ms, until)


class Offsets(Case):
    def offsets(self, app, *arguments, code=EXIT_OK):
        result = app.command("offsets", *map(str, arguments))
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stdout + result.stderr

    def run_once(self, app):
        service = app.service().start_ready()
        app.settle()
        self.stop(app, service)

    def stop(self, app, service):
        """A static member that has gone counts until its session ends."""
        self.assertEqual(service.stop(), EXIT_OK)
        until(lambda: "no members" in self.offsets(app), "the session has ended")

    def counts(self, app):
        return {user: state["events"] for user, state in app.users().items()}

    def clicks(self, app, count, first=0, **more):
        for i in range(first, first + count):
            app.send("events", "u", click("u", f"item-{i % 5}", event_id=f"e{i}"), **more)
        app.flush()

    def test_where_a_new_app_starts(self):
        app = self.app({"topics.partitions": 1})
        app.announce(5)
        old_ms = now_ms() - 3 * 3600 * 1000
        self.clicks(app, 10, timestamp=old_ms)
        self.clicks(app, 10, 10)
        self.assertIn("            10            +10", self.offsets(app, "--by-duration", "PT2H"))
        self.assertIn("dry run", self.offsets(app, "--to-datetime", old_ms + 1))
        self.assertIn("no state yet", self.offsets(app, "--by-duration", "PT2H", "--execute"))
        self.run_once(app)
        self.assertEqual(self.counts(app), {"u": 10})
        self.assertIn("            20              0", self.offsets(app))

    def test_back_inside_the_dedup_window(self):
        """What was learned is not learned again; what was a dead letter then gets its chance."""
        app = self.app({"topics.partitions": 1})
        app.announce(5)
        self.clicks(app, 20)
        app.send("events", "v", click("other", "item-1"))
        app.flush()
        self.run_once(app)
        self.assertIn("not learned twice", self.offsets(app, "--to-earliest"))
        before = len(app.read("dead_letters"))
        self.assertIn("moved", self.offsets(app, "--shift-by", "-15", "--execute"))
        self.run_once(app)
        self.assertEqual(self.counts(app), {"u": 20})
        self.assertEqual((before, len(app.read("dead_letters"))), (1, 2))

    def test_back_beyond_the_dedup_window(self):
        app = self.app({"topics.partitions": 1, "state.dedup_events": 4})
        app.announce(5)
        service = app.service().start_ready()
        for first in range(0, 20, 5):  # a commit each: the window forgets whole commits
            self.clicks(app, 5, first)
            app.settle()
        self.stop(app, service)
        self.assertIn("would be learned a second time", self.offsets(app, "--to-earliest", "--execute", code=EXIT_FAILED))
        version = by_version(app.lists())["u"]["version_offset"]
        self.offsets(app, "--shift-by", -12, "--execute", "--learn-again")
        service = app.service().start_ready()
        until(lambda: service.metric("freshet_lag_events") == 0 and self.counts(app)["u"] > 20, "events are learned again")
        lists = app.lists()
        self.assertEqual([entry["version_offset"] for entry in lists if entry["version_offset"] < version and
                          entry["generated_at"] > lists[-1]["generated_at"]], [])
        self.assertEqual(lists[-1]["version_offset"], version)
        self.assertIn("the app is running", self.offsets(app, "--to-latest", "--execute", code=EXIT_STATE))
        self.assertEqual(service.stop(), EXIT_OK)

    def test_forward_and_bad_arguments(self):
        app = self.app({"topics.partitions": 1})
        app.announce(5)
        self.clicks(app, 5)
        self.run_once(app)
        self.clicks(app, 7, 5)
        self.assertIn("7 records are passed over", self.offsets(app, "--to-latest", "--execute"))
        self.clicks(app, 2, 12)
        self.run_once(app)
        self.assertEqual(self.counts(app), {"u": 7})
        for arguments in (["--execute"], ["--by-duration", "2h"], ["--by-duration", "P"], ["--to-datetime", "yesterday"],
                          ["--shift-by", "x"], ["--to-latest", "--to-earliest"], ["more"]):
            self.offsets(app, *arguments, code=EXIT_USAGE)


if __name__ == "__main__":
    main()
