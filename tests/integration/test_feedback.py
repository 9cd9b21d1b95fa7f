"""Feedback through Kafka: what a user dislikes, hides or skips changes the next list, and stays so after a crash; and
feedback that makes no sense: for a list that was never sent, from the future, twice."""

import uuid

from harness import SCHEMAS, Case, event, item, list_items, main, purchase, single_object, until

DRESSES = [f"dress-{i}" for i in range(12)]
DRILLS = [f"drill-{i}" for i in range(12)]


def feedback(user, item_id, kind, **more):
    base = {"kind": kind, "after_s": 0.0, "place": -1, "list_version": -1}
    return single_object(SCHEMAS["Feedback"], event(user, item_id, **{**base, **more}))


class Feedback(Case):
    def start(self):
        """Nothing hides items but feedback, and a list holds them all."""
        self.freshet = self.app({"rules.hide": "nothing", "ranking.k": len(DRESSES + DRILLS), "ranking.diversity": 0})
        for item_id in DRESSES + DRILLS:
            text = f"a wedding dress of silk {item_id}" if item_id in DRESSES else f"a cordless power drill {item_id}"
            self.freshet.send("items", item_id, item(item_id, title=text, text=text, created_at=None, attributes={}))
        self.freshet.flush()
        self.worker = self.freshet.service().start_ready()
        self.worker.await_metric("freshet_items_listed", len(DRESSES + DRILLS))
        for n in range(24):
            self.tell(f"other-{n}", purchase(f"other-{n}", (DRESSES, DRILLS)[n % 2][n % 12]))
        self.tell("ann", purchase("ann", "drill-0"), purchase("ann", "drill-1"))

    def tell(self, user, *events):
        for value in events:
            self.freshet.send("events", user, value)

    def list_of(self, user):
        """The list as of the user's last event."""
        self.freshet.settle()
        state = self.freshet.users()[user]

        def newest():
            made = [entry for entry in self.freshet.lists() if entry["user_id"] == user]
            return made[-1] if made and made[-1]["version_offset"] == state["newest_offset"] else None

        return until(newest, f"a list of {user} as of its last event")

    def test_feedback_changes_the_list(self):
        self.start()
        before = self.list_of("ann")
        self.assertCountEqual(list_items(before), DRESSES + DRILLS)
        shown = {"list_version": before["version_offset"]}
        self.tell("ann", *(feedback("ann", f"drill-{2 + i}", kind, place=i, **shown)
                           for i, kind in enumerate(["HIDE", "DISLIKE", "NOT_INTERESTED"])))
        after = self.list_of("ann")
        self.assertCountEqual(list_items(after), set(DRESSES + DRILLS) - {"drill-2", "drill-3", "drill-4"})
        for entry in after["items"]:
            for reason in entry["reasons"]:
                self.assertFalse(reason["item_id"] == "drill-3" and reason["score"] > 0, entry)
        # What is skipped or only shown stays; the user may choose what was hidden, and then rules decide again.
        self.tell("ann", feedback("ann", "drill-5", "SKIP", after_s=1.5, place=3), feedback("ann", "dress-1", "IMPRESSION"),
                  feedback("ann", "drill-6", "OTHER"), purchase("ann", "drill-2"))
        self.assertCountEqual(list_items(self.list_of("ann")), set(DRESSES + DRILLS) - {"drill-3", "drill-4"})
        self.worker.kill()
        self.worker = self.freshet.service().start_ready()
        self.tell("ann", purchase("ann", "dress-0"))
        self.assertCountEqual(list_items(self.list_of("ann")), set(DRESSES + DRILLS) - {"drill-3", "drill-4"})

    def shown(self, made):
        """What a list takes from its items because they were shown before."""
        parts = [(entry["item_id"], reason["score"]) for entry in made["items"] for reason in entry["reasons"]
                 if reason["kind"] == "SHOWN"]
        self.assertTrue(all(score < 0 for _, score in parts), parts)
        return dict(parts)

    def test_what_is_shown_and_not_chosen_comes_lower(self):
        self.start()
        before = self.list_of("ann")
        self.assertEqual(self.shown(before), {})
        at = {"list_version": before["version_offset"]}
        self.tell("ann", *(feedback("ann", f"drill-{2 + i}", "IMPRESSION", place=i, **at) for i in range(3)))
        # Twice; hardly looked at; of a list that was never sent; of an item that nobody knows.
        self.tell("ann", feedback("ann", "drill-2", "IMPRESSION", place=0, **at),
                  feedback("ann", "drill-5", "IMPRESSION", place=999, **at),
                  feedback("ann", "drill-6", "IMPRESSION", place=0, list_version=2**62),
                  feedback("ann", "never-announced", "IMPRESSION", place=0, **at))
        # Impressions owe no list. A text that has just come may, and that list has the version of the one before.
        self.assertEqual(self.list_of("ann")["version_offset"], before["version_offset"])
        self.assertEqual(self.worker.metric("freshet_impressions_unknown_total"), 1)
        self.tell("ann", purchase("ann", "drill-3"))
        after = self.shown(self.list_of("ann"))
        self.assertCountEqual(after, ["drill-2", "drill-4", "drill-5", "drill-6"])
        self.assertAlmostEqual(after["drill-2"], after["drill-6"], places=6)
        self.assertLess(after["drill-2"], after["drill-4"])
        self.assertLess(after["drill-4"], after["drill-5"])
        # A user with impressions only has one list, the one that their first event owes.
        self.tell("zoe", *(feedback("zoe", item_id, "IMPRESSION", place=i) for i, item_id in enumerate(DRILLS)))
        first = self.list_of("zoe")
        self.assertEqual(self.freshet.users()["zoe"]["events"], len(DRILLS))
        self.assertEqual(len(first["items"]), len(DRESSES + DRILLS))
        self.worker.kill()
        self.worker = self.freshet.service().start_ready()
        self.tell("ann", purchase("ann", "dress-0"))
        self.assertCountEqual(self.shown(self.list_of("ann")), ["drill-2", "drill-4", "drill-5", "drill-6"])
        self.assertEqual(len([made for made in self.freshet.lists() if made["user_id"] == "zoe"]), 1)

    def test_feedback_that_makes_no_sense(self):
        self.start()
        # For a list that was never sent, and from the future: the opinion counts, the version proves nothing.
        self.tell("ann", feedback("ann", "drill-2", "HIDE", place=999, list_version=2**62))
        self.assertNotIn("drill-2", list_items(self.list_of("ann")))
        # The same event twice is one event; about an item that nobody has announced, it hides nothing.
        once = feedback("ann", "drill-3", "DISLIKE", event_id=str(uuid.uuid4()))
        self.tell("ann", once, once, feedback("ann", "never-announced", "HIDE"))
        self.assertCountEqual(list_items(self.list_of("ann")), set(DRESSES + DRILLS) - {"drill-2", "drill-3"})
        self.assertEqual(self.worker.metric("freshet_events_duplicate_total"), 1)
        # The same opinion twice, with other ids, is one opinion.
        self.tell("ann", *(feedback("ann", "drill-3", "DISLIKE") for _ in range(2)))
        self.assertCountEqual(list_items(self.list_of("ann")), set(DRESSES + DRILLS) - {"drill-2", "drill-3"})
        # A user who dislikes everything gets an empty list, and nobody else does.
        self.tell("eve", *(feedback("eve", item_id, "DISLIKE") for item_id in DRESSES + DRILLS))
        self.assertEqual(self.list_of("eve")["items"], [])
        self.assertEqual(len(self.list_of("other-1")["items"]), len(DRESSES + DRILLS))
        wrong = [({"list_version": -2}, "list_version"), ({"place": -5}, "place"), ({"after_s": -1.0}, "after_s"),
                 ({"after_s": float("nan")}, "after_s")]
        for more, _ in wrong:
            self.tell("ann", feedback("ann", "drill-7", "SKIP", **more))
        self.freshet.flush()
        self.worker.await_metric("freshet_dead_letters_total", len(wrong))
        letters = self.freshet.tail("dead_letters")
        self.addCleanup(letters.close)
        letters.until(lambda records: len(records) == len(wrong), "a dead letter for each")
        reasons = [dict(letter.headers)["__connect.errors.exception.message"].decode() for letter in letters.records]
        for _, word in wrong:
            self.assertTrue(any(word in reason for reason in reasons), (word, reasons))
        self.assertIn("drill-7", list_items(self.list_of("ann")))


if __name__ == "__main__":
    main()
