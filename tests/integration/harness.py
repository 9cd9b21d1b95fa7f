"""What the integration tests share: an app of its own for every test (id, topics, state folders), the real binary as a
process, producers and readers that know nothing of Freshet but schemas/*.avsc.

scripts/test sets FRESHET_BINARY and FRESHET_BOOTSTRAP; without them a test counts as skipped (exit code 77).
"""

import contextlib
import io
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
import uuid
from collections import namedtuple
from concurrent.futures import wait
from pathlib import Path

if not (os.environ.get("FRESHET_BINARY") and os.environ.get("FRESHET_BOOTSTRAP")):
    print("FRESHET_BINARY and FRESHET_BOOTSTRAP are not set; scripts/test does")
    sys.exit(77)

import fastavro
import fastavro.schema
import xxhash
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ["FRESHET_BINARY"]
BOOTSTRAP = os.environ["FRESHET_BOOTSTRAP"]

# src/commands/commands.h
EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_REJECTS, EXIT_FENCED, EXIT_STATE, EXIT_UNAVAILABLE = range(7)

PARTITIONS = 4
PATIENCE_S = 60


def now_ms():
    return int(time.time() * 1000)


def until(condition, what, within_s=PATIENCE_S):
    """Asks again and again until the condition's value is true, and returns it."""
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {within_s} s")
        time.sleep(0.02)


# ---- Avro ----


class Schema:
    """A writer schema: one of ours by name, or any other as JSON text."""

    def __init__(self, text):
        self.text = text
        self.parsed = fastavro.parse_schema(json.loads(text))
        canonical = fastavro.schema.to_parsing_canonical_form(self.parsed)
        self.fingerprint = bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))

    def body(self, record):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self.parsed, record)
        return out.getvalue()

    def read(self, body):
        rest = io.BytesIO(body)
        record = fastavro.schemaless_reader(rest, self.parsed, None)
        assert rest.read() == b"", "bytes are left over"
        return record


def schema_text(name):
    return (ROOT / "schemas" / f"{name}.avsc").read_text()


SCHEMAS = {path.stem: Schema(path.read_text()) for path in (ROOT / "schemas").glob("*.avsc")}


def single_object(schema, record):
    return b"\xc3\x01" + schema.fingerprint + schema.body(record)


def confluent(schema_id, schema, record):
    return struct.pack(">bi", 0, schema_id) + schema.body(record)


def decode(name, value):
    """A value of ours in single-object encoding, under exactly our schema."""
    schema = SCHEMAS[name]
    assert value[:2] == b"\xc3\x01" and value[2:10] == schema.fingerprint, f"not a {name}: {value[:10].hex()}"
    return schema.read(value[10:])


def id_key(text):
    """What stands for an id in state: XXH3-64."""
    return xxhash.xxh3_64_intdigest(text.encode()) or 1


def checksum(event_ids):
    return sum(id_key(i) for i in event_ids) % 2**64


def event(user, item, **more):
    return {"event_id": str(uuid.uuid4()), "user_id": user, "item_id": item, "occurred_at": now_ms(), **more}


def purchase(user, item, **more):
    return single_object(SCHEMAS["Purchase"], event(user, item, **{"quantity": 1, "price": 1.0, **more}))


def click(user, item, **more):
    return single_object(SCHEMAS["Click"], event(user, item, **{"dwell_s": 1.0, **more}))


def rating(user, item, stars, **more):
    return single_object(SCHEMAS["Rating"], event(user, item, rating=stars, **more))


def item(item_id, **more):
    base = {"item_id": item_id, "title": f"Title of {item_id}", "text": "", "categories": [], "available": True,
            "expires_at": None, "vector": b""}
    return single_object(SCHEMAS["Item"], {**base, **more})


# ---- Kafka ----

Record = namedtuple("Record", "partition offset timestamp_ms key value headers")


class Tail:
    """Reads a topic from its beginning; what has been read is in `records`."""

    def __init__(self, topic, committed=True, bootstrap=BOOTSTRAP):
        self.topic = topic
        self.records = []
        self.at_end = set()
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap,
            "group.id": "reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
            "isolation.level": "read_committed" if committed else "read_uncommitted",
        })
        metadata = self.consumer.list_topics(topic, timeout=PATIENCE_S).topics[topic]
        self.partitions = sorted(metadata.partitions)
        assert self.partitions, f"no topic {topic}"
        self.consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in self.partitions])

    def poll(self, timeout_s=0.1):
        for message in self.consumer.consume(10000, timeout_s):
            if message.error() is not None:
                assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                self.at_end.add(message.partition())
                continue
            self.records.append(Record(message.partition(), message.offset(), message.timestamp()[1], message.key(),
                                       message.value(), message.headers() or []))

    def until(self, condition, what, within_s=PATIENCE_S):
        """Reads on until the condition, given all records so far, is true."""

        def step():
            self.poll()
            return condition(self.records)

        return until(step, what, within_s)

    def end_of(self, partition):
        """The offset that the next record of a partition would get, markers of transactions included."""
        return self.consumer.get_watermark_offsets(TopicPartition(self.topic, partition), PATIENCE_S)[1]

    def close(self):
        self.consumer.close()


def read_all(topic, committed=True, bootstrap=BOOTSTRAP):
    """Every record that is there now, by partition and offset."""
    tail = Tail(topic, committed, bootstrap)
    tail.until(lambda _: len(tail.at_end) == len(tail.partitions), f"read {topic}")
    tail.close()
    return sorted(tail.records, key=lambda record: (record.partition, record.offset))


def compacted(records):
    """key -> value of the last record with that key, as compaction would leave it; erased keys are gone."""
    last = {record.key: record.value for record in records}
    return {key: value for key, value in last.items() if value is not None}


def by_version(lists):
    """What a reader holds who keeps, of two lists for a user, the one with the larger offset."""
    kept = {}
    for entry in lists:
        held = kept.get(entry["user_id"])
        if held is None or entry["version_offset"] >= held["version_offset"]:
            kept[entry["user_id"]] = entry
    return kept


def decode_lists(records):
    return [decode("RecommendationList", r.value) for r in records if r.value is not None]


def list_items(entry):
    return [recommendation["item_id"] for recommendation in entry["items"]]


class Broker:
    """A cluster of its own, of one broker or three, for tests that stop it."""

    def __init__(self, test, brokers=1):
        self.brokers = brokers
        self.port = free_port(2 * brokers)
        self.bootstrap = ",".join(f"127.0.0.1:{self.port + 2 * n}" for n in range(brokers))
        self.data = tempfile.mkdtemp(prefix="freshet-broker-")
        self.environment = {**os.environ, "FRESHET_BROKER_PORT": str(self.port), "FRESHET_BROKER_DATA": self.data}
        test.addCleanup(shutil.rmtree, self.data, ignore_errors=True)
        test.addCleanup(self.stop)

    def run(self, *arguments):
        subprocess.run([ROOT / "scripts" / "kafka", *arguments], env=self.environment, check=True, timeout=120,
                       stdout=subprocess.DEVNULL)

    def start(self):
        self.run("start", "--brokers", str(self.brokers))

    def controller(self):
        """The number of the active controller, by the newest epoch in the brokers' logs."""
        folders = [self.data, *(os.path.join(self.data, f"broker-{n}") for n in range(2, self.brokers + 1))]
        told = (re.findall(r"In the new epoch (\d+), the leader is (\d+)", Path(folder, "broker.log").read_text())
                for folder in folders)
        return max((int(epoch), int(leader)) for lines in told for epoch, leader in lines)[1]

    def kill(self, broker):
        """kill -9; 1 is the first."""
        self.run("kill", str(broker))

    def stop(self):
        """In order; three brokers of which some are dead already could not hand over to each other, so these are killed."""
        if self.brokers == 1:
            self.run("stop")
        for broker in range(1, self.brokers + 1):
            self.kill(broker)


def free_port(count=1):
    """A port that nobody uses, nor any of the count - 1 that follow it. The system gives ports from 32768 on to outgoing
    connections, and could give one of these away before it is used."""
    while True:
        port = random.SystemRandom().randrange(10000, 32768 - count)
        with contextlib.ExitStack() as held:
            try:
                for more in range(count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port + more))
            except OSError:
                continue
            return port


# ---- the service ----


class Service:
    """One process of `freshet run`, which may be started again and again with the same state folder."""

    def __init__(self, app, name, instance_id=None, state=None, overrides=()):
        self.app = app
        self.name = name
        self.state = Path(state) if state else app.folder / f"state-{name}"
        self.port = free_port()
        self.overrides = [f"state.folder={self.state}", f"http.port={self.port}", *overrides]
        if instance_id is not None:
            self.overrides.append(f"app.instance_id={instance_id}")
        self.log_path = app.folder / f"{name}.log"
        self.process = None  # None also once its end has been waited for

    def start(self):
        arguments = [BINARY, "run", "-c", self.app.config_path]
        for override in self.overrides:
            arguments += ["-X", override]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def await_ready(self, within_s=PATIENCE_S):
        until(self.ready, f"{self.name} is ready", within_s)
        return self

    def start_ready(self):
        return self.start().await_ready()

    def ready(self):
        self.expect_running()
        return self.get("/readyz")[0] == 200

    def expect_running(self):
        code = self.process.poll()
        if code is not None:
            raise AssertionError(f"{self.name} has ended with code {code}: {self.last_line()}")

    def get(self, path):
        """(HTTP status, text); status 0 while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metrics(self):
        """{name{labels}: value} as on /metrics; empty while nobody listens."""
        status, text = self.get("/metrics")
        assert status in (0, 200), f"/metrics: {status}"
        pairs = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
        return {series: float(value) for series, value in pairs}

    def metric(self, series):
        metrics = self.metrics()
        assert series in metrics, f"no {series} in /metrics: {sorted(metrics)}"
        return metrics[series]

    def await_metric(self, series, value, within_s=PATIENCE_S):
        until(lambda: self.metric(series) == value, f"{series} is {value}", within_s)

    def rss_mb(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def wait(self, within_s=PATIENCE_S):
        """Waits for the end and returns the exit code."""
        code = self.process.wait(within_s)
        self.process = None
        return code

    def stop(self, within_s=PATIENCE_S):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(within_s)

    def kill(self):
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.wait()

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def last_line(self):
        return (self.log().splitlines() or [""])[-1]


def make_producer(bootstrap):
    """One that keeps the order, with Java's partitioner."""
    return Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "enable.idempotence": True,
                     "max.in.flight": 1, "linger.ms": 2, "message.max.bytes": 4000000,
                     "queue.buffering.max.messages": 1000000, "log_level": 2})


class App:
    """An app of its own: id, topics, configuration."""

    def __init__(self, test, settings=None, bootstrap=BOOTSTRAP, create=True):
        self.id = f"t{uuid.uuid4().hex[:10]}"
        self.bootstrap = bootstrap
        self.folder = Path(tempfile.mkdtemp(prefix=f"freshet-{self.id}-"))
        test.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        names = ["events", "items", "requests", "recommendations", "replies", "dead_letters"]
        self.topics = {name: f"{self.id}.in-{name}" for name in names}
        self.topics |= {"users": f"{self.id}.users", "item_states": f"{self.id}.items",
                        "item_deltas": f"{self.id}.item-deltas", "generations": f"{self.id}.generations",
                        "shadow": f"{self.id}.recommendations"}
        self.config_path = self.folder / "freshet.conf"
        self.write_config(settings or {})
        self.services = []
        self.producer = make_producer(bootstrap)
        test.apps.append(self)
        test.addCleanup(self.close)
        if create:
            self.create_topics()

    def write_config(self, settings):
        """settings: {"section.key": value}. Time-outs are short, so that a kill -9 is noticed soon, and so is the time between
        two commits, for which most tests wait again and again."""
        lines = {
            "app.id": self.id,
            "kafka.bootstrap.servers": self.bootstrap,
            "kafka.session.timeout.ms": 2000,
            "kafka.heartbeat.interval.ms": 300,
            "kafka.transaction.timeout.ms": 10000,
            "state.commit_interval_ms": 200,
            "topics.partitions": PARTITIONS,
            "topics.replication": 1,
            "text.encoder": "hashing",
            "model.dim": 16,
            "ranking.k": 5,
            **{f"topics.{key}": name for key, name in self.topics.items()
               if key not in ("users", "item_states", "item_deltas", "generations", "shadow")},
            **settings,
        }
        sections = {}
        for key, value in lines.items():
            section, name = key.split(".", 1)
            sections.setdefault(section, []).append(f"{name} = {value}")
        text = "\n".join(f"[{section}]\n" + "\n".join(rows) + "\n" for section, rows in sections.items())
        self.config_path.write_text(text)

    def command(self, *arguments, timeout_s=60):
        """Runs another subcommand with this configuration."""
        return subprocess.run([BINARY, *arguments, "-c", self.config_path], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout_s)

    def create_topics(self):
        made = self.command("topics", "create")
        assert made.returncode == 0, f"topics create: {made.returncode}: {made.stderr}"

    def service(self, name="worker", **more):
        service = Service(self, name, **more)
        self.services.append(service)
        return service

    def send(self, topic, key, value, **more):
        key = key.encode() if isinstance(key, str) else key
        self.producer.produce(self.topics[topic], key=key, value=value, **more)
        self.producer.poll(0)

    def put(self, topic, key, value):
        """Sends one record, waits for it, and returns where it went: (partition, offset)."""
        went = []
        self.send(topic, key, value, on_delivery=lambda error, message: went.append((error, message)))
        # Nothing else of the queue is waited for: another thread may fill it all the time.
        until(lambda: self.producer.poll(0.02) >= 0 and went, "the broker acknowledges the record")
        error, message = went[0]
        assert error is None, error
        return message.partition(), message.offset()

    def flush(self):
        assert self.producer.flush(PATIENCE_S) == 0, "the broker does not acknowledge"

    def announce(self, count):
        """Items item-0 .. item-(count - 1)."""
        ids = [f"item-{i}" for i in range(count)]
        for item_id in ids:
            self.send("items", item_id, item(item_id))
        self.flush()
        return ids

    def read(self, topic, committed=True):
        return read_all(self.topics[topic], committed, self.bootstrap)

    def tail(self, topic, committed=True):
        return Tail(self.topics[topic], committed, self.bootstrap)

    def users(self):
        """user_id -> UserState from the changelog, and in which partition of it."""
        records = self.read("users")
        where = {record.key: record.partition for record in records}
        return {key.decode(): {**decode("UserState", value), "partition": where[key]}
                for key, value in compacted(records).items() if not key.startswith(b"\0")}

    def lists(self, committed=True):
        return decode_lists(self.read("recommendations", committed))

    def await_lists(self, users):
        """user -> newest list, once each of these users has one. A commit may be ahead of the lists that it owes."""
        kept = {}

        def all_have():
            kept.update(by_version(self.lists()))
            return set(users) <= set(kept)

        until(all_have, "each user has a list")
        return kept

    def consumer(self):
        """A consumer with the app's group id that does not join; the caller closes it."""
        return Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.id, "enable.auto.commit": False})

    def members(self):
        """How many members the app's group has."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        return len(admin.describe_consumer_groups([self.id])[self.id].result().members)

    def uncommitted_events(self):
        """Records of `events` that the group has not committed yet; None when the cluster cannot tell just now."""
        consumer = self.consumer()
        topic = self.topics["events"]
        left = 0
        try:
            known = consumer.list_topics(topic, PATIENCE_S).topics[topic].partitions
            for committed in consumer.committed([TopicPartition(topic, p) for p in known], PATIENCE_S):
                first, end = consumer.get_watermark_offsets(TopicPartition(topic, committed.partition), PATIENCE_S)
                left += end - max(committed.offset, first)
            return left
        except KafkaException:
            return None
        finally:
            consumer.close()

    def settle(self, within_s=PATIENCE_S):
        """Waits until every event so far is part of a committed transaction."""
        self.flush()

        def done():
            self.expect_running()
            return self.uncommitted_events() == 0

        until(done, "all events are committed", within_s)

    def expect_running(self):
        """Fails when a service has ended that nobody has waited for."""
        for service in self.services:
            if service.process is not None:
                service.expect_running()

    def close(self):
        for service in self.services:
            service.kill()
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        wait(admin.delete_topics(list(self.topics.values())).values(), 5)


class ListClock:
    """Notes when lists arrive, committed or not, so that the time without any can be told, in all or in one partition."""

    def __init__(self, app):
        self.tail = Tail(app.topics["recommendations"], False, app.bootstrap)
        self.stopped = threading.Event()
        self.arrivals = {partition: [time.monotonic()] for partition in self.tail.partitions}
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        while not self.stopped.is_set():
            self.tail.poll(0.1)
            now = time.monotonic()
            for partition in {record.partition for record in self.tail.records}:
                self.arrivals[partition].append(now)
            self.tail.records.clear()

    @staticmethod
    def gap(arrivals, begun):
        marks = [t for t in arrivals if t >= begun] + [time.monotonic()]
        first = max((t for t in arrivals if t < begun), default=begun)
        return max(b - a for a, b in zip([first, *marks], marks))

    def longest_gap(self, begun):
        """Seconds without any list, from an arrival before `begun` on."""
        return self.gap(sorted(t for arrivals in self.arrivals.values() for t in arrivals.copy()), begun)

    def worst_gap(self, begun):
        """Seconds without a list in the partition where it took longest."""
        return max(self.gap(arrivals.copy(), begun) for arrivals in self.arrivals.values())

    def stop(self):
        self.stopped.set()
        self.thread.join()
        self.tail.close()


class Ledger:
    """Clicks sent to an app, round robin over its users, so that the app's state and lists can be held against them."""

    def __init__(self, app, users, items):
        self.app = app
        self.names = [f"user-{i}" for i in range(users)]
        self.items = items
        self.sent = {}  # user -> [event id]
        self.count = 0

    def send(self, count=1):
        for _ in range(count):
            user = self.names[self.count % len(self.names)]
            item_id = f"item-{(self.count * 7 + self.count // len(self.names)) % self.items}"
            event_id = f"event-{self.count}"
            self.app.send("events", user, click(user, item_id, event_id=event_id))
            self.sent.setdefault(user, []).append(event_id)
            self.count += 1

    def send_at(self, per_second, stopped):
        """Sends at a rate until the threading.Event is set."""
        started, before = time.monotonic(), self.count
        while not stopped.wait(0.01):
            self.send(max(0, int((time.monotonic() - started) * per_second) - (self.count - before)))

    def verify(self, test):
        """Every event is in its user's state exactly once, and every user's list is that of the newest event. Returns all
        lists in the order in which a reader gets them."""
        self.app.settle(120)
        states = self.app.users()
        test.assertEqual({user: state["events"] for user, state in states.items()},
                         {user: len(ids) for user, ids in self.sent.items()})
        test.assertEqual({user: state["event_checksum"] % 2**64 for user, state in states.items()},
                         {user: checksum(ids) for user, ids in self.sent.items()})
        # Others may have sent records that are dead letters.
        newest = {record.key.decode(): (record.partition, record.offset) for record in self.app.read("events")
                  if record.key.decode() in self.sent}
        test.assertEqual({user: (state["partition"], state["newest_offset"]) for user, state in states.items()}, newest)
        lists = []

        def all_fresh():
            lists[:] = self.app.lists()
            return newest == {user: (entry["version_partition"], entry["version_offset"])
                              for user, entry in by_version(lists).items()}

        until(all_fresh, "every user's list is that of the newest event", 60)
        return lists


# ---- running ----


class Case(unittest.TestCase):
    def setUp(self):
        self.apps = []

    def app(self, settings=None, **more):
        return App(self, settings, **more)

    def logs(self):
        for app in self.apps:
            for service in app.services:
                tail = "\n    ".join(service.log().splitlines()[-25:])
                yield f"  log of {service.name} (app {app.id}):\n    {tail}"


class Result(unittest.TextTestResult):
    """Tells how long each test took, and shows the logs of the services of one that fails."""

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()

    def addSuccess(self, test):
        self.stream.write(f"({time.monotonic() - self.started:.1f} s) ")
        super().addSuccess(test)

    def _exc_info_to_string(self, error, test):
        text = super()._exc_info_to_string(error, test)
        return "\n".join([text, *test.logs()]) if isinstance(test, Case) else text


def main():
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result)
    result = unittest.main(module="__main__", exit=False, testRunner=runner).result
    failed = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    print(f"{Path(sys.argv[0]).stem}: {result.testsRun - failed - skipped} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)
