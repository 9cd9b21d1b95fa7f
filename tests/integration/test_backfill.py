"""A new generation learns the whole log beside the live one, is killed again and again on the way, takes over, and gives back."""

import http.server
import json
import random
import re
import threading
import time

from harness import BINARY, EXIT_FAILED, EXIT_OK, EXIT_STATE, EXIT_UNAVAILABLE, Case, Ledger, Service, decode, main, \
    read_all, until
import subprocess

ITEMS = 100


class Generation(Service):
    """A process of `freshet backfill start GENERATION`."""

    def __init__(self, app, generation, overrides=()):
        super().__init__(app, generation, state=app.folder / "state", overrides=overrides)
        self.generation = generation
        self.id = f"{app.id}.{generation}"

    def start(self):
        arguments = [BINARY, "backfill", "start", self.generation, "-c", self.app.config_path]
        for override in self.overrides:
            arguments += ["-X", override]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def users(self):
        records = read_all(f"{self.id}.users", bootstrap=self.app.bootstrap)
        last = {record.key: record.value for record in records}
        return {key.decode(): decode("UserState", value) for key, value in last.items()
                if value is not None and not key.startswith(b"\0")}

    def model_hash(self):
        return re.findall(r"model.stored hash=(\w+)", self.log())[-1]


class BackfillCase(Case):
    def start(self, users, settings=None):
        self.freshet = self.app({"state.commit_interval_ms": 200, "backfill.yield": "off", **(settings or {})})
        self.freshet.announce(ITEMS)
        self.live = self.freshet.service("live").start_ready()
        self.ledger = Ledger(self.freshet, users, ITEMS)

    def generation(self, name, overrides=()):
        made = Generation(self.freshet, name, overrides)
        self.freshet.services.append(made)
        for topic in ("users", "items", "item-deltas", "recommendations"):
            self.freshet.topics[f"{name}.{topic}"] = f"{made.id}.{topic}"
        return made.start()

    def backfill(self, *arguments, code=EXIT_OK, says=""):
        ended = self.freshet.command("backfill", *arguments, timeout_s=90)
        self.assertEqual(ended.returncode, code, ended.stdout + ended.stderr)
        self.assertIn(says, ended.stdout + ended.stderr)
        return ended.stdout

    def learned(self, generation):
        """Events learned, as its states say."""
        return sum(state["events"] for state in generation.users().values())

    def caught_up(self, generation):
        def done():
            generation.expect_running()
            metrics = generation.metrics()
            return metrics.get("freshet_ready") == 1 and metrics["freshet_lag_events"] < 100 and \
                metrics["freshet_refresh_owed_users"] == 0 and self.learned(generation) >= self.ledger.count * 0.99

        until(done, f"{generation.name} has caught up")


class Diff(BackfillCase):
    def test_both_are_asked_at_the_same_moment(self):
        """Nothing flows any more, and no list was made in the newest hour by both: states are compared, not lists.
        One partition: both learn its events in one order, so that nothing but the moment could make them differ."""
        self.start(users=100, settings={"state.commit_interval_ms": 50, "topics.partitions": 1})
        self.ledger.send(3000)
        self.freshet.settle()
        g2 = self.generation("g2").await_ready()
        self.caught_up(g2)
        said = self.backfill("diff", "g2", says="recall@10, held back")
        recall = re.search(r"held back +([0-9.]+) +([0-9.]+) +the newest event of (\d+) users", said)
        self.assertIsNotNone(recall, said)
        self.assertGreater(int(recall[3]), 90, said)
        self.assertAlmostEqual(float(recall[1]), float(recall[2]), delta=0.1, msg=said)
        overlap = float(re.search(r"mean overlap@10 ([0-9.]+)", said)[1])
        self.assertGreater(overlap, 0.9, said)
        # Another model makes other lists, and its recall is its own.
        g3 = self.generation("g3", ["model.learning=off"]).await_ready()
        self.caught_up(g3)
        said = self.backfill("diff", "g3", says="mean overlap@10")
        self.assertLess(float(re.search(r"mean overlap@10 ([0-9.]+)", said)[1]), overlap, said)


class HandOver(BackfillCase):
    def test_promote_and_roll_back_under_load(self):
        # One commit after another, so that a kill hits one.
        self.start(users=300, settings={"kafka.session.timeout.ms": 12000, "state.commit_interval_ms": 5})
        self.ledger.send(6000)
        self.freshet.settle()
        stopped = threading.Event()
        producer = threading.Thread(target=self.ledger.send_at, args=(300, stopped))
        producer.start()
        self.addCleanup(stopped.set)
        self.backfill("rollback", code=EXIT_FAILED, says="nothing to go back to")
        self.backfill("promote", "g2", code=EXIT_UNAVAILABLE, says="there is no generation")
        self.backfill("plan", "g2", says=f"makes topic   {self.freshet.id}.g2.users")
        slow = self.generation("g2", ["backfill.rate=100"]).await_ready()
        self.backfill("promote", "g2", code=EXIT_FAILED, says="has not caught up")
        self.backfill("status", says=f"{self.freshet.id}.g2")
        slow.kill()
        g2 = self.generation("g2")
        for _ in range(2):
            time.sleep(random.uniform(0.2, 1.5))
            g2.kill()
            g2.start()
        self.caught_up(g2)
        self.backfill("diff", "g2", says="mean overlap@10")
        started = time.time()
        print(self.backfill("promote", "g2", says="serves instead of").strip(), end=" ", flush=True)
        self.backfill("promote", "g2", code=EXIT_FAILED, says="serves already")
        time.sleep(1)
        self.check_gap(started)
        g2.await_metric("freshet_partitions_serving", 4)
        self.live.await_metric("freshet_partitions_serving", 0)
        self.backfill("drop", "g2", "--yes", code=EXIT_FAILED, says="cannot be dropped")
        self.backfill("drop", self.freshet.id, "--yes", code=EXIT_STATE, says="stop them first")
        # Back, while the one that serves dies: its last word is said for it.
        g2.kill()
        killed = time.monotonic()
        print(self.backfill("rollback", "--without-live", says="serves instead of").strip(), end=" ", flush=True)
        took_s = time.monotonic() - killed
        print(f"({took_s:.1f} s in all) ", end="", flush=True)
        self.assertLess(took_s, 8)  # it has not waited for the session of the dead to end
        self.live.await_metric("freshet_partitions_serving", 4)
        stopped.set()
        producer.join()
        self.ledger.verify(self)
        self.check_turns()
        self.backfill("drop", "g2", says="would drop")
        self.backfill("drop", "g2", "--yes", says="drops group")
        self.backfill("promote", "g2", code=EXIT_UNAVAILABLE, says="there is no generation")

    def check_gap(self, since):
        """How long no new list came out around the promotion."""
        times = sorted(record.timestamp_ms for record in self.freshet.read("recommendations")
                       if record.timestamp_ms > (since - 1) * 1000)
        gap = max(after - before for before, after in zip(times, times[1:]))
        print(f"({gap} ms without a list) ", end="", flush=True)
        self.assertLess(gap, 2000)

    def check_turns(self):
        """Nothing lost, nothing back: no user's version falls but where a process died."""
        newest, back = {}, 0
        for entry in self.freshet.lists():
            held = newest.get(entry["user_id"], -1)
            back += entry["version_offset"] < held
            newest[entry["user_id"]] = max(held, entry["version_offset"])
        self.assertEqual(back, 0)

    def test_the_live_one_dies_while_it_lets_go(self):
        self.start(users=200)
        self.ledger.send(2000)
        self.freshet.settle()
        g2 = self.generation("g2")
        self.caught_up(g2)
        promotion = subprocess.Popen([BINARY, "backfill", "promote", "g2", "-c", self.freshet.config_path],
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        promotion_started = time.monotonic()
        time.sleep(random.uniform(0, 1.0))
        self.live.kill()
        g2.kill()
        g2.start()
        out, _ = promotion.communicate(timeout=60)
        print(f"({time.monotonic() - promotion_started:.1f} s) ", end="", flush=True)
        if promotion.returncode == EXIT_UNAVAILABLE:  # it died before the switch, or the other one did
            g2.await_ready()
            self.backfill("promote", "g2", "--without-live", says="serves instead of")
        else:
            self.assertEqual(promotion.returncode, EXIT_OK, out)
        g2.await_ready()
        g2.await_metric("freshet_partitions_serving", 4)
        self.live.start_ready()
        self.ledger.send(400)
        self.ledger.verify(self)


class Siblings(BackfillCase):
    def test_a_second_promotion_sees_the_first(self):
        """Generations write facts for each other, also those that have no part of their names in common."""
        self.start(users=50)
        self.ledger.send(500)
        self.freshet.settle()
        g2, g3 = self.generation("g2"), self.generation("g3")
        self.caught_up(g2)
        self.caught_up(g3)
        self.backfill("promote", "g2", says=f"switch 1: {g2.id} serves instead of")
        self.backfill("promote", "g3", says=f"switch 2: {g3.id} serves instead of {g2.id};")
        g3.await_metric("freshet_partitions_serving", 4)
        g2.await_metric("freshet_partitions_serving", 0)
        self.ledger.send(200)
        self.ledger.verify(self)


class Together(BackfillCase):
    def test_generations_start_at_the_same_moment(self):
        self.start(users=1, settings={"topics.partitions": 1})
        names = [[f"{letter}{number}" for letter in "abcd"] for number in range(5)]
        for group in names:
            started = [self.generation(name) for name in group]
            for each in started:
                until(lambda: "service.starting" in each.log() or each.expect_running(), f"{each.name} is registered")
            for each in started:
                each.kill()
        told = self.freshet.command("backfill", "status", "--interval", "1").stdout
        for name in sum(names, []):
            self.assertIn(f"{self.freshet.id}.{name} ", told)


class EmbeddingServer(http.server.BaseHTTPRequestHandler):
    """Takes its time. Many texts are equally like each other."""
    DIM = 16

    def do_POST(self):
        texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
        time.sleep(0.3)
        data = [{"index": i, "embedding": self.embed(text)} for i, text in enumerate(texts)]
        body = json.dumps({"data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass  # who asked has been killed

    def embed(self, text):
        return [1 + (sum(text.encode()) % 3 == k % 3) for k in range(self.DIM)]

    def log_message(self, *arguments):
        pass


class Killed(BackfillCase):
    def test_killed_on_the_way_it_learns_the_same(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), EmbeddingServer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.start(users=100, settings={"topics.partitions": 1, "text.encoder": "http", "text.dim": EmbeddingServer.DIM,
                                        "text.url": f"http://127.0.0.1:{server.server_port}"})
        self.ledger.send(4000)
        self.freshet.settle()
        calm = self.generation("calm")
        self.caught_up(calm)
        killed = self.generation("killed", ["backfill.rate=300"])
        for _ in range(10):
            time.sleep(random.uniform(0.5, 1.8))
            killed.expect_running()
            killed.kill()
            killed.start()
        self.caught_up(killed)
        for each in (calm, killed):
            until(lambda: self.learned(each) == self.ledger.count, f"{each.name} has learned every event")
            self.assertEqual(each.stop(), EXIT_OK)
        states = [{user: [state[key] for key in ("events", "positives", "recent")] for user, state in g.users().items()}
                  for g in (calm, killed)]
        self.assertEqual(len(states[0]), 100)
        self.assertEqual(states[0], states[1])
        self.assertEqual(calm.model_hash(), killed.model_hash())


if __name__ == "__main__":
    main()
