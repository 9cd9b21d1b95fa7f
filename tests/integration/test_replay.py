"""`freshet replay` on a real broker: every source gives the same log, what is killed nine and more times gives the log and
the state of one that was not, and input that is not as it should be is refused with a reason."""

import gzip
import io
import json
import os
import random
import resource
import signal
import subprocess

import fastavro

from harness import (BINARY, EXIT_FAILED, EXIT_OK, EXIT_REJECTS, EXIT_STATE, EXIT_UNAVAILABLE, EXIT_USAGE, SCHEMAS, Case, compacted,
                     decode, main, rating)

START_MS = 1_600_000_000_000
SEED = int(os.environ.get("FRESHET_TEST_SEED", random.randrange(10**6)))


def history(count, users=50, items=20):
    return [{"event_id": f"e{i}", "user_id": f"u{i * 7 % users}", "item_id": f"i{i * 3 % items}", "rating": 1 + i % 5,
             "occurred_at": START_MS + i * 1000} for i in range(count)]


def csv_of(events, end="\n"):
    rows = ["event_id,type,user_id,item_id,value,occurred_at"]
    rows += [f"{e['event_id']},rating,{e['user_id']},{e['item_id']},{e['rating']},{e['occurred_at']}" for e in events]
    return end.join(rows) + end


def log_of(app, topic="events"):
    """The topic's records by partition, in order."""
    log = {}
    for record in app.read(topic):
        log.setdefault(record.partition, []).append((record.key, record.value, record.timestamp_ms))
    return log


class ReplayCase(Case):
    def replay(self, app, *arguments, text=None, code=EXIT_OK):
        result = subprocess.run([BINARY, "replay", "-c", app.config_path, *map(str, arguments)], input=text,
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, code, result.stderr + result.stdout)
        return result

    def write(self, app, name, content):
        path = app.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path


class Sources(ReplayCase):
    def test_every_source_gives_the_same_log(self):
        events = history(3000)
        app = self.app()
        self.replay(app, "--from", self.write(app, "a.csv", csv_of(events)))
        expected = log_of(app)
        self.assertEqual(sum(map(len, expected.values())), 3000)
        self.assertTrue(all(time_ms >= START_MS for records in expected.values() for _, _, time_ms in records))

        lines = "".join(json.dumps({**e, "type": "rating", "value": e["rating"]}) + "\n" for e in events)
        container = io.BytesIO()
        fastavro.writer(container, SCHEMAS["Rating"].parsed, events, codec="deflate")
        files = {"b.jsonl": lines, "c.csv.gz": gzip.compress(csv_of(events, "\r\n").encode()),
                 "d.avro": container.getvalue()}
        for name, content in files.items():
            other = self.app()
            self.replay(other, "--from", self.write(other, name, content))
            self.assertEqual(log_of(other), expected, name)
        piped = self.app()
        self.replay(piped, "--format", "jsonl", "--from", "-", text=lines)
        self.assertEqual(log_of(piped), expected)

        self.from_topic(app, expected)

    def from_topic(self, app, expected):
        """The other app's topic, whole and in part, of this cluster and of one that is named."""
        source = "kafka://" + app.topics["events"]
        copy = self.app()
        seen = self.replay(copy, "--dry-run", "--from", source)
        self.assertIn("events            3000", seen.stdout)
        self.assertEqual(log_of(copy), {})
        self.replay(copy, "--from", source)
        self.assertEqual(log_of(copy), expected)
        part = self.app()
        self.replay(part, "--from", source, "--since", START_MS + 500_000, "--until", "2020-09-13T12:43:20Z",
                    "--source", f"bootstrap.servers={app.bootstrap}")
        wanted = {p: [r for r in records if START_MS + 500_000 <= r[2] < 1_600_001_000_000] for p, records in expected.items()}
        self.assertEqual(sum(map(len, wanted.values())), 500)
        self.assertEqual(log_of(part), wanted)
        refused = self.replay(app, "--from", source, code=EXIT_FAILED)
        self.assertIn("the topic that replay writes to", refused.stderr)
        missing = self.replay(copy, "--from", "kafka://no-such-topic", code=EXIT_UNAVAILABLE)
        self.assertIn("no-such-topic", missing.stderr)

    def test_erasures_and_bad_records_of_a_topic(self):
        app, copy = self.app(), self.app()
        app.send("events", "u1", rating("u1", "i1", 3))
        app.send("events", "u1", b"junk")
        app.send("events", "u2", rating("other", "i1", 3))
        app.send("events", "u1", None)
        app.flush()
        result = self.replay(copy, "--events", "kafka://" + app.topics["events"], "--type", "rating", code=EXIT_REJECTS)
        self.assertIn("rejected             2", result.stdout)
        self.assertIn("erasures             1", result.stdout)
        self.assertIn("is not the record's key", result.stderr)
        log = [(key, value) for records in log_of(copy).values() for key, value, _ in records]
        self.assertEqual([(key, value is None) for key, value in log], [(b"u1", False), (b"u1", True)])


class Crashes(ReplayCase):
    def kill_and_go_on(self, command, kills):
        """Kills at random moments, then lets it end, as fast as it can. Some live longer than the time between two
        checkpoints."""
        for i in range(kills):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                process.wait(6 if i % 5 == 4 else random.uniform(0.1, 1.1))
                self.fail(f"ended by itself with {process.returncode}: {process.stderr.read()}")
            except subprocess.TimeoutExpired:
                process.kill()
            process.communicate()
        rate = command.index("--rate")
        result = subprocess.run(command[:rate] + command[rate + 2:], capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, EXIT_OK, result.stderr)

    def state(self, app):
        app.service().start_ready()
        app.settle()
        self.assertEqual(app.services[-1].stop(), EXIT_OK)
        rows = {key: value for key, value in compacted(app.read("users")).items() if not key.startswith(b"\0")}
        states = {key: decode("UserState", value) for key, value in rows.items()}
        for state in states.values():
            for field in ("listed", "listed_offset", "refresh_since"):  # of its last list, which depends on the moment
                del state[field]
        return states

    def test_ten_kills_leave_the_same_log_and_the_same_state(self):
        random.seed(SEED)
        print(f"seed {SEED}", end=" ")
        settings = {"topics.partitions": 1, "state.dedup_events": 0}
        whole, killed = self.app(settings), self.app(settings)
        path = self.write(whole, "events.csv", csv_of(history(60_000, users=300)))
        items = self.write(whole, "items.csv", "item_id,title\n" + "".join(f"i{i},Title {i}\n" for i in range(20)))
        self.replay(whole, "--items", items, "--from", path)
        self.kill_and_go_on([BINARY, "replay", "-c", killed.config_path, "--items", items, "--from", path, "--rate", "3000",
                             "--resume", killed.folder / "place"], 10)
        self.assertEqual(log_of(killed), log_of(whole))
        self.assertEqual(self.state(killed), self.state(whole))

    def test_killed_while_it_reads_a_topic(self):
        random.seed(SEED)
        print(f"seed {SEED}", end=" ")
        source, killed = self.app(), self.app({"state.dedup_events": 0})
        self.replay(source, "--from", self.write(source, "events.csv", csv_of(history(30_000))))
        self.kill_and_go_on([BINARY, "replay", "-c", killed.config_path, "--from", "kafka://" + source.topics["events"],
                             "--rate", "2500", "--resume", killed.folder / "place"], 5)
        self.assertEqual(log_of(killed), log_of(source))


class BadInput(ReplayCase):
    def dry(self, app, content, *arguments, name="x.csv", code=EXIT_OK):
        return self.replay(app, "--dry-run", "--from", self.write(app, name, content), *arguments, code=code)

    def test_what_a_file_can_have_wrong(self):
        app = self.app(create=False)
        head = "user_id,item_id,value,occurred_at,note\n"
        row = "u,i,4,1600000000000,n\n"
        cases = [  # content, exit code, what is said
            ("", EXIT_FAILED, "the file is empty"),
            (row + row, EXIT_FAILED, "no column 'item_id', which items need, among 'u, i, 4"),
            ("user_id,item_id\nu,i\n", EXIT_FAILED, "no column 'occurred_at', which events need"),
            ("user_id,user_id,item_id,occurred_at\n", EXIT_FAILED, "two columns are called 'user_id'"),
            ((head + row).encode("utf-16"), EXIT_FAILED, "not UTF-8 text"),
            (head + 'u,i,4,1600000000000,"open\n', EXIT_FAILED, "a quote is opened and never closed"),
            (head + "u,i,4,1600000000000\n", EXIT_REJECTS, "x.csv:2: the row has 4 fields, the row of names 5"),
            (head + "u,i,4,1600000000000,a, b\n", EXIT_REJECTS, "x.csv:2: the row has 6 fields"),
            ((head + row).encode() + b"\xff\xfe,i,4,1600000000000,n\n", EXIT_REJECTS, "x.csv:3: user_id '??' is not UTF-8"),
            (head + "u,i,4,12345,n\n", EXIT_REJECTS, "may be seconds or milliseconds; tell with --time-unit"),
            (head + "u,i,4,03/04/2011,n\n", EXIT_REJECTS, "'03/04/2011' is not a time"),
            (head + row + "u,i,4,16000000000000000,n\n", EXIT_REJECTS, "is not in milliseconds"),
            (head + "u,i,four,1600000000000,n\n", EXIT_REJECTS, "value 'four' is not a number"),
            (head + 'u,"i ""1"", 2",4,1600000000000,"two\r\nlines"\r\n' + row, EXIT_OK, "times in milliseconds"),
            (b"\xef\xbb\xbf" + (head + row).replace("\n", "\r\n").encode(), EXIT_OK, "the first is 2020-09-13T12:26:40Z"),
            (head + "u,i,4,1600000000,n\n", EXIT_OK, "times in seconds, the first is 2020-09-13T12:26:40Z"),
            (head + "u,i,4,2020-09-13 12:26:40,n\n", EXIT_OK, "ISO 8601 (UTC without an offset), the first is 2020-09-13T12:26:40Z"),
        ]
        for content, code, said in cases:
            result = self.dry(app, content, code=code)
            self.assertIn(said, result.stderr, content)
        bom = b'\xef\xbb\xbf{"user_id": "u", "item_id": "i", "occurred_at": 1600000000}\r\n'
        self.assertIn("events               1", self.dry(app, bom, name="x.jsonl").stdout)
        self.assertIn("is a folder", self.replay(app, "--dry-run", "--from", app.folder, code=EXIT_FAILED).stderr)
        self.assertIn("--since and --until are for", self.dry(app, head, "--since", "2020-01-01", code=EXIT_USAGE).stderr)
        cut = gzip.compress((head + row * 50_000).encode())[:-500]
        self.assertIn("gzip stream is broken or cut off", self.dry(app, cut, name="x.csv.gz", code=EXIT_FAILED).stderr)

    def test_unsorted_files(self):
        app = self.app(create=False)
        events = history(1000)
        for i in range(0, 1000, 10):
            events[i:i + 10] = reversed(events[i:i + 10])
        self.assertIn("late               900", self.dry(app, csv_of(events)).stdout)
        self.assertNotIn("late", self.dry(app, csv_of(events), "--sort-window", 10).stdout)
        self.assertIn("late", self.dry(app, csv_of(events), "--sort-window", 9).stdout)

    def test_a_file_that_grows_or_shrinks(self):
        app = self.app()
        text = csv_of(history(60_000))
        for cut, code, said in [(lambda f: f.truncate(len(text) // 2), EXIT_FAILED, "has become shorter while it was read"),
                                (lambda f: (f.seek(0, 2), f.write("late,rating,u1")), EXIT_REJECTS, "has grown from")]:
            path = self.write(app, "moving.csv", text)
            process = subprocess.Popen([BINARY, "replay", "-c", app.config_path, "--from", path, "--rate", "30000"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertIn("times in milliseconds", process.stderr.readline())  # it has been opened
            with open(path, "r+") as file:
                cut(file)
            _, told = process.communicate(timeout=60)
            self.assertEqual(process.returncode, code, told)
            self.assertIn(said, told)

    def test_a_resumed_file_must_be_the_same(self):
        app = self.app()
        events = history(1000)
        path = self.write(app, "events.csv", csv_of(events))
        arguments = ["--from", path, "--resume", app.folder / "place"]
        self.replay(app, *arguments, "--limit", 500)
        self.write(app, "events.csv", csv_of(events[1:]))
        self.assertIn("is not the file of the checkpoint", self.replay(app, *arguments, code=EXIT_FAILED).stderr)
        self.write(app, "events.csv", csv_of(events[:400]))
        self.assertIn("shorter since the checkpoint", self.replay(app, *arguments, code=EXIT_FAILED).stderr)
        self.write(app, "events.csv", csv_of(events))
        self.replay(app, *arguments)
        self.assertEqual(sum(map(len, log_of(app).values())), 1000)

    def test_a_disk_that_fills(self):
        """A limit on the size of files stands for the disk: the write fails the same way."""
        app = self.app()
        bad = "user_id,item_id,occurred_at\n" + "u,i,never\n" * 5000
        path = self.write(app, "bad.csv", bad)
        rejected, place = app.folder / "rejected.csv", app.folder / "place"

        def limited(size, *arguments):
            def fill():
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            return subprocess.run([BINARY, "replay", "-c", app.config_path, *map(str, arguments)], capture_output=True, text=True,
                                  timeout=60, preexec_fn=fill, restore_signals=False)

        result = limited(20_000, "--from", path, "--errors", rejected)
        self.assertEqual(result.returncode, EXIT_STATE, result.stderr)
        self.assertIn(f"{rejected}: File too large", result.stderr)
        result = limited(50, "--from", path, "--resume", place)
        self.assertEqual(result.returncode, EXIT_STATE, result.stderr)
        self.assertIn(f"checkpoint {place}: File too large", result.stderr)
        self.assertFalse(place.exists())
        self.replay(app, "--from", path, "--resume", place, "--errors", rejected, code=EXIT_REJECTS)
        self.assertEqual(len(rejected.read_text().splitlines()), 5001)


class DataSets(ReplayCase):
    """Made-up files in the layouts of the well-known sets."""

    def dry_folder(self, app, name, files, *arguments):
        folder = app.folder / name
        folder.mkdir()
        for file, content in files.items():
            (folder / file).write_bytes(content)
        return self.replay(app, "--dry-run", "--format", name.split("-")[0], "--from", folder, *arguments)

    def test_layouts(self):
        app = self.app(create=False)
        genres = "|".join(["0", "1", "0", "0", "0", "1"] + ["0"] * 13)
        sets = {
            "movielens-100k": ({"u.data": b"1\t2\t3\t881250949\n4\t2\t5\t881250950\n", "README": b"x",
                                "u.item": f"2|Caf\u00e9 (1995)|01-Jan-1995||http://x|{genres}\n".encode("latin-1")}, 2, 1),
            "movielens-1m": ({"ratings.dat": b"1::2::3::978300760\n", "movies.dat": b"2::A: B (1995)::Comedy|War\n"}, 1, 1),
            "movielens-25m": ({"ratings.csv": b"userId,movieId,rating,timestamp\n1,2,3.5,1147880044\n",
                               "movies.csv": b'movieId,title,genres\n2,"B, The (1995)",(no genres listed)\n', "tags.csv": b""}, 1, 1),
            "netflix": ({"combined_data_1.txt": b"7:\n1,3,2005-09-06\n2,5,2005-05-13\n8:\n1,4,2005-10-19\n",
                         "movie_titles.csv": b"7,2003,One, Two\n8,NULL,Caf\xe9\n"}, 3, 2),
            "retailrocket": ({"events.csv": b"timestamp,visitorid,event,itemid,transactionid\n1433221332117,1,view,5,\n"
                                            b"1433221332118,1,addtocart,5,\n1433221332119,1,transaction,5,9\n",
                              "item_properties_part1.csv": b"timestamp,itemid,property,value\n1431226800000,5,categoryid,3\n",
                              "item_properties_part2.csv": b"timestamp,itemid,property,value\n1431226900000,5,available,0\n"
                                                           b"1431226700000,6,888,n1.0\n"}, 3, 2),
        }
        for name, (files, events, items) in sets.items():
            result = self.dry_folder(app, name, files)
            self.assertIn(f"events    {events:12}", result.stdout, name)
            self.assertIn(f"items     {items:12}", result.stdout, name)
            self.assertIn(f"rejected  {0:12}", result.stdout, name)

    def test_a_folder_of_something_else(self):
        app = self.app(create=False)
        refused = self.replay(app, "--dry-run", "--format", "netflix", "--from", app.folder, code=EXIT_USAGE)
        self.assertIn("combined_data_*.txt", refused.stderr)


if __name__ == "__main__":
    main()
