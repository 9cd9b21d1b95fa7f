"""The examples of scripts/examples, each in its language, where that is installed: the producer's purchases become lists,
and the reader keeps to the rule for versions. A language that is not installed is skipped.
"""

import threading

from harness import *

EXAMPLES = ROOT / "scripts/examples"
BUILD = Path(tempfile.gettempdir()) / "freshet-examples"


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, **more)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.returncode}: {done.stdout}{done.stderr}")


class Reader:
    """A reader example that runs; what it has printed is in `lines`."""

    def __init__(self, test, command, **more):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
        self.lines = []
        self.complaints = []
        for stream, kept in ((self.process.stdout, self.lines), (self.process.stderr, self.complaints)):
            threading.Thread(target=lambda s=stream, k=kept: [k.append(line.strip()) for line in s], daemon=True).start()
        test.addCleanup(self.process.wait)
        test.addCleanup(self.process.kill)

    def of(self, user):
        return [line.split(": ", 1)[1] for line in list(self.lines) if line.startswith(f"{user}: ")]


def entry(user, offset, items, partition=0):
    return single_object(SCHEMAS["RecommendationList"],
                         {"user_id": user, "version_partition": partition, "version_offset": offset, "generated_at": now_ms(),
                          "items": [{"item_id": i, "score": 1.0} for i in items]})


class Clients(Case):
    def check(self, language, producer, reader, folder=None):
        """Both commands are lists; their arguments are the broker and the topics."""
        more = {"cwd": folder, "env": {**os.environ, "SCHEMAS": str(ROOT / "schemas")}}
        app = App(self)
        service = app.service().start_ready()
        run(*producer, app.bootstrap, app.topics["events"], app.topics["items"], **more)
        shown = Reader(self, [*reader, app.bootstrap, app.topics["recommendations"]], **more)
        user = f"{language}-1"
        until(lambda: shown.of(user) or self.complain(shown), "the reader prints a list")
        app.settle()
        self.assertEqual(set(app.users()), {f"{language}-1", f"{language}-2"})
        self.assertEqual(app.users()[user]["events"], 2)

        until(lambda: shown.of(user)[-1] == "cup", "what was bought is not recommended")  # the one thing left
        self.assertEqual(service.stop(), EXIT_OK)  # from now on nobody else writes lists
        # Every list of this user goes to one partition, as Freshet's own do.
        for offset, items in ((1000, ["a", "b"]), (999, ["stale"]), (1000, ["c"]), (3, ["stale"])):
            app.send("recommendations", user, entry(user, offset, items))
        for offset, items in ((5, ["moved"]), (4, ["stale"])):  # `events` got more partitions
            app.send("recommendations", user, entry(user, offset, items, partition=9))
        app.send("recommendations", user, None)
        app.send("recommendations", user, entry(user, 1, ["again"]))
        app.flush()
        until(lambda: shown.of(user)[-1:] == ["again"], "the reader goes on")
        self.assertEqual(shown.of(user)[-5:], ["a b", "c", "moved", "erased", "again"])
        self.assertIsNone(shown.process.poll(), shown.complaints)

    def complain(self, reader):
        self.assertIsNone(reader.process.poll(), reader.complaints)
        return False

    def need(self, program):
        if shutil.which(program) is None:
            self.skipTest(f"{program} is not installed")

    def test_python(self):
        self.check("python", [sys.executable, EXAMPLES / "python/producer.py"], [sys.executable, EXAMPLES / "python/reader.py"])

    def test_java(self):
        self.need("javac")
        self.need("mvn")
        libraries, classes = BUILD / "java", BUILD / "java-classes"
        if not list(libraries.glob("avro-*.jar")):
            run("mvn", "-q", "-B", "-f", EXAMPLES / "java/pom.xml", "dependency:copy-dependencies",
                f"-DoutputDirectory={libraries}")
        path = f"{libraries}/*:{classes}"
        run("javac", "--release", "17", "-cp", path, "-d", classes, *sorted((EXAMPLES / "java").glob("*.java")))
        java = ["java", "-Xmx128m", "-cp", path]
        self.check("java", [*java, "ProducerExample"], [*java, "ReaderExample"])

    def test_go(self):
        self.need("go")
        environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
        for program in ("producer", "reader"):
            run("go", "build", "-o", BUILD / f"go-{program}", f"./{program}", cwd=EXAMPLES / "go", env=environment)
        self.check("go", [BUILD / "go-producer"], [BUILD / "go-reader"])

    def test_node(self):
        self.need("node")
        self.need("npm")
        folder = BUILD / "node"
        shutil.copytree(EXAMPLES / "node", folder, dirs_exist_ok=True)
        if not (folder / "node_modules/kafkajs").exists():
            run("npm", "ci", "--no-audit", "--no-fund", cwd=folder)
        self.check("node", ["node", "producer.mjs"], ["node", "reader.mjs"], folder)

    def test_each_is_short(self):
        sources = [p for p in EXAMPLES.rglob("*") if p.suffix in (".py", ".java", ".go", ".mjs")]
        self.assertEqual(len(sources), 10)
        for path in sources:
            self.assertLess(len(path.read_text().splitlines()), 60, path.name)


if __name__ == "__main__":
    main()
