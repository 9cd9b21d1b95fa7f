"""Rules on a real broker: what is withdrawn leaves the lists that are out, also while nobody is running; boosts, pins and
bounds by category in lists; SIGHUP takes new rules over and leaves the old ones in force when the file has a mistake.
"""

import signal

from harness import *

ITEMS = [f"i{n:02}" for n in range(24)]


class Rules(Case):
    def announce(self, app, item_id, **more):
        n = ITEMS.index(item_id) if item_id in ITEMS else 0
        app.send("items", item_id, item(item_id, **{"categories": [f"c{n % 4}"], **more}))

    def start(self, settings=None):
        self.settings = {"ranking.k": 5, "rules.hide": "nothing", **(settings or {})}
        app = App(self, self.settings)
        for i in ITEMS:
            self.announce(app, i)
        app.flush()
        service = app.service().start_ready()
        service.await_metric("freshet_items_listed", len(ITEMS))
        return app, service

    def lists(self, app):
        return by_version(decode_lists(read_all(app.topics["recommendations"], committed=False)))

    def await_lists(self, app, condition, what):
        return until(lambda: (lambda kept: kept if condition(kept) else None)(self.lists(app)), what)

    def click_all(self, app, users, items):
        for n, user in enumerate(users):
            for offset in range(3):
                i = items[(n + offset) % len(items)]
                app.send("events", user, click(user, i))
        app.flush()

    def test_withdrawn_items_leave_lists_that_are_out(self):
        # three users at most in memory: the others are found in the store
        app, service = self.start({"state.user_cache": 3, "state.commit_interval_ms": 200})
        users = [f"u{n}" for n in range(40)]
        self.click_all(app, users, ITEMS)
        kept = self.await_lists(app, lambda kept: len(kept) == len(users), "every user has a list")
        app.settle()  # rows leave memory with a commit
        gone = max(ITEMS, key=lambda i: sum(i in list_items(entry) for entry in kept.values()))
        carriers = [user for user, entry in kept.items() if gone in list_items(entry)]
        self.assertGreater(len(carriers), 5)
        self.announce(app, gone, available=False)
        app.flush()
        kept = self.await_lists(app, lambda kept: all(gone not in list_items(e) for e in kept.values()), "it is gone")
        self.assertEqual(len(kept), len(users))
        service.await_metric("freshet_withdrawals_owed_users", 0)
        self.assertGreaterEqual(service.metric("freshet_withdrawal_to_list_seconds_count"), len(carriers))
        took = service.metric("freshet_withdrawal_to_list_seconds_sum") / len(carriers)
        print(f"withdrawn from {len(carriers)} lists of {len(users)}: {took:.3f} s on the average")

        # and one that expires by itself, one that goes while nobody is there
        first, second = [i for i in ITEMS if i != gone and any(i in list_items(e) for e in kept.values())][:2]
        self.announce(app, first, expires_at=now_ms() + 1500)
        app.flush()
        self.await_lists(app, lambda kept: all(first not in list_items(e) for e in kept.values()), "it has expired")
        service.kill()
        app.send("items", second, None)
        app.flush()
        service.start_ready()
        self.await_lists(app, lambda kept: all(second not in list_items(e) for e in kept.values()), "it went meanwhile")
        self.assertEqual(service.stop(), EXIT_OK)

    def test_sighup_takes_rules_over_and_refuses_mistakes(self):
        app, service = self.start()
        users = [f"u{n}" for n in range(8)]
        self.click_all(app, users, ITEMS)
        self.await_lists(app, lambda kept: len(kept) == len(users), "every user has a list")
        rules = {**self.settings, "rules.boost.mine": "category:c2 1000000", "rules.pin.2": "i03", "rules.max_per_category": 3}
        app.write_config(rules)
        service.process.send_signal(signal.SIGHUP)

        def is_ruled(entry):
            items = list_items(entry)
            first = [ITEMS.index(i) % 4 for i in items]
            return items[1] == "i03" and first.count(2) == 3 and first[0] == 2 and max(map(first.count, first)) <= 3

        kept = self.await_lists(app, lambda kept: all(map(is_ruled, kept.values())), "the rules hold")
        for entry in kept.values():
            for place in entry["items"]:
                self.assertAlmostEqual(sum(r["score"] for r in place["reasons"]), place["score"], delta=1e-4 * 20)
                is_boosted = ITEMS.index(place["item_id"]) % 4 == 2
                self.assertEqual(is_boosted, any(r["kind"] == "RULE" for r in place["reasons"]))
        app.write_config({**rules, "rules.bury.mine": "category:c2 2"})
        service.process.send_signal(signal.SIGHUP)
        until(lambda: "rules.refused" in service.log(), "the mistake is logged")
        line = next(l for l in service.log().splitlines() if "rules.refused" in l)
        self.assertIn("rules.bury.mine", line)
        self.assertIn("rules.boost.mine", line)
        _, newest = app.put("events", "u0", click("u0", "i05"))
        kept = self.await_lists(app, lambda kept: kept["u0"]["version_offset"] == newest, "a list with the event")
        self.assertTrue(is_ruled(kept["u0"]), "the rules are still in force")
        self.assertEqual(service.stop(), EXIT_OK)


if __name__ == "__main__":
    main()
