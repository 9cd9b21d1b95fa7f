"""What operators look at: freshness is that of live events, lag is told in seconds, every metric that an alert or the
dashboard names exists, each alert says what to do, and the log in JSON is as its schema says.
"""

import signal

from harness import *

MONITORING = ROOT / "scripts/deploy/monitoring"


class Monitoring(Case):
    def test_history_does_not_count_as_freshness(self):
        app = App(self)
        items = app.announce(4)
        old_ms = now_ms() - 86400000
        for n in range(200):
            user = f"u{n % 20}"
            app.send("events", user, click(user, items[n % 4], occurred_at=old_ms + n), timestamp=old_ms + n)
        app.flush()
        service = app.service().start_ready()
        service.await_metric('freshet_events_total{type="click"}', 200)
        until(lambda: service.metric("freshet_lists_published_total") >= 20, "lists are out")
        self.assertEqual(service.metric("freshet_event_to_list_seconds_count"), 0, "a backlog is history")
        for n in range(50):  # history that is replayed while it runs
            app.send("events", f"u{n % 20}", click(f"u{n % 20}", items[n % 4], occurred_at=old_ms + n), timestamp=old_ms + n)
        app.flush()
        service.await_metric('freshet_events_total{type="click"}', 250)
        until(lambda: service.metric("freshet_refresh_owed_users") == 0, "lists are out")
        self.assertEqual(service.metric("freshet_event_to_list_seconds_count"), 0, "a replay is history")
        app.send("events", "u1", click("u1", items[2]))
        app.flush()
        until(lambda: service.metric("freshet_event_to_list_seconds_count") == 1, "a live event counts")
        self.assertLess(service.metric("freshet_event_to_list_seconds_sum"), 10)

    def test_lag_is_told_in_seconds(self):
        app = App(self)
        items = app.announce(4)
        service = app.service().start_ready()
        app.send("events", "u", click("u", items[0]))
        app.settle()
        self.assertEqual(service.metric("freshet_lag_seconds"), 0)
        service.process.send_signal(signal.SIGSTOP)  # what is written meanwhile is three seconds old when it goes on
        for n in range(60000):
            app.send("events", f"u{n % 100}", click(f"u{n % 100}", items[n % 4]))
        app.flush()
        time.sleep(3)
        service.process.send_signal(signal.SIGCONT)
        until(lambda: service.metric("freshet_lag_seconds") > 2, "it falls behind", 30)

    def test_texts_wait_while_the_embedding_server_is_away(self):
        app = App(self, {"text.encoder": "http", "text.url": "http://127.0.0.1:1/v1/embeddings", "text.timeout_ms": 500})
        app.announce(5)
        service = app.service().start()
        until(lambda: service.metrics().get("freshet_items_listed") == 5, "the items are there")
        time.sleep(2)  # in which they are handed to the encoder
        self.assertEqual(service.metric("freshet_texts_waiting"), 5, "a text that was handed over waits too")

    def test_rules_and_dashboard_name_what_exists(self):
        reference = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "src/service/metrics.md").read_text(), re.M))
        self.assertGreater(len(reference), 40)
        rules, dashboard = (MONITORING / "alerts.yml").read_text(), (MONITORING / "dashboard.json").read_text()
        named = {re.sub(r"_(bucket|sum|count)$", "", name)
                 for name in re.findall(r"\b(?:freshet|process)_[a-z_]+", rules + dashboard)}
        self.assertEqual(named - reference, set())
        self.assertGreater(len(named), 20)
        alerts = rules.split("- alert: ")[1:]
        for alert in alerts:
            self.assertRegex(alert, r'runbook: ".{30,}"', alert.splitlines()[0])
            self.assertRegex(alert, r"severity: (critical|warning)")
        panels = json.loads(dashboard)["panels"]
        self.assertTrue(all(target["expr"] for panel in panels for target in panel["targets"]))
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))

    def test_json_lines_are_as_the_schema_says(self):
        schema = json.loads((ROOT / "src/service/log.schema.json").read_text())
        fields = re.compile(next(iter(schema["patternProperties"])))
        app = App(self, {"log.format": "json", "log.level": "debug"})
        items = app.announce(2)
        service = app.service().start_ready()
        app.send("events", "u", click("u", items[0]))
        app.send("events", "u", b"garbage")
        app.settle()
        service.process.send_signal(signal.SIGHUP)
        until(lambda: "rules.reloaded" in service.log(), "reloaded")
        self.assertEqual(service.stop(), EXIT_OK)
        lines = [json.loads(line) for line in service.log().splitlines()]
        self.assertGreater(len(lines), 10)
        for line in lines:
            self.assertEqual([name for name in schema["required"] if name not in line], [], line)
            self.assertRegex(line["time"], schema["properties"]["time"]["pattern"])
            self.assertIn(line["level"], schema["properties"]["level"]["enum"])
            self.assertRegex(line["event"], schema["properties"]["event"]["pattern"], line)
            for name, value in line.items():
                self.assertTrue(fields.fullmatch(name), name)
                self.assertIsInstance(value, (str, int, float), line)
        events = {line["event"] for line in lines}
        self.assertLessEqual({"service.starting", "partition.assigned", "record.dead", "service.stopped"}, events)
        assigned = next(line for line in lines if line["event"] == "partition.assigned")
        self.assertIn(assigned["topic"], app.topics.values(), "a topic is told by its name")


if __name__ == "__main__":
    main()
