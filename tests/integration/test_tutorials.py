"""Runs every tutorial (src/commands/tutorials/*.md) from end to end in one shell and compares what its commands print
with what the page says.

A block ```sh is run; ```sh skip is not (the test has a build and a broker already). A block ```text after it is what the
commands print. Times, rates and dates may differ, numbers with decimals by 15 %, and "..." stands for any text, on a line
of its own for any lines. In ```text varies only the shape counts: the numbers at the beginning of lines, and that
something is printed. Ports, names of topics and the folder are exchanged for those of the test.

test_tutorials.py PAGE... runs these pages only.
"""
import os
import re
import subprocess
import sys
import tempfile
import uuid

from harness import free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TUTORIALS = os.path.join(ROOT, "src", "commands", "tutorials")
BOOTSTRAP = os.environ.get("FRESHET_BOOTSTRAP")
TIMEOUT_S = 200


def blocks(page):
    """[(commands, expected or None, how)] of a page."""
    found = []
    for kind, body in re.findall(r"^```(sh|text)([^\n]*\n.*?)^```$", page, re.M | re.S):
        info, _, text = body.partition("\n")
        if kind == "sh" and info.strip() != "skip":
            found.append([text, None, ""])
        elif kind == "text":
            assert found and found[-1][1] is None, f"what is printed follows no command: {text[:60]}"
            found[-1][1:] = [text, info.strip()]
    return found


def same_line(expected, got):
    """Compares piece by piece: numbers by their kind, everything else as it is."""
    if "..." in expected:
        head, _, tail = expected.partition("...")
        return same_line(head, got[:len(head)]) and got.endswith(tail)
    plain = lambda line: re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z (?=(debug|info|warn|error) )", "TIME ", line)
    number = r"\d+(?:\.\d+)?"
    expected, got = plain(expected), plain(got)
    rate = re.compile(rf"{number}(?= (?:s|ms|us|records/s|events/s)\b)")
    expected, got = rate.sub("RATE", expected), rate.sub("RATE", got)
    if re.sub(r"\s+", " ", re.sub(number, "N", expected)) != re.sub(r"\s+", " ", re.sub(number, "N", got)):
        return False
    for a, b in zip(re.findall(number, expected), re.findall(number, got)):
        if a != b and ("." not in a or abs(float(a) - float(b)) > 0.15 * abs(float(a))):
            return False
    return True


def same(expected, got, how):
    want, have = expected.rstrip("\n").split("\n"), got.rstrip("\n").split("\n")
    if how == "varies":
        shape = lambda lines: [m.group(1) for line in lines if (m := re.match(r"\s*(\d+\.)", line))]
        return shape(want) == shape(have) and any(line.strip() for line in have)
    for i, line in enumerate(want):
        if line.strip() == "...":
            return i + 1 == len(want) or same("\n".join(want[i + 1:]), "\n".join(have[-(len(want) - i - 1):]), how)
        if i >= len(have) or not same_line(line, have[i]):
            return False
    return len(want) == len(have)


def run(path):
    name = os.path.basename(path)
    found = blocks(open(path, encoding="utf-8").read())
    with tempfile.TemporaryDirectory() as scratch:
        ports, mark = {"8080": str(free_port()), "8081": str(free_port())}, uuid.uuid4().hex[:8]
        environment = dict(os.environ)
        for topic in ("events", "items", "requests", "recommendations", "replies", "dead_letters"):
            environment[f"FRESHET_TOPICS_{topic.upper()}"] = f"{mark}.{topic}"

        def ours(text):
            text = text.replace("127.0.0.1:19092", BOOTSTRAP).replace("build/ten-minutes", scratch)
            text = re.sub(r"\bmyshop\b", f"myshop-{mark}", text)
            return re.sub(r"\b808[01]\b", lambda match: ports[match.group()], text)

        def theirs(text):
            text = text.replace(f"myshop-{mark}", "myshop").replace(f"{mark}.dead_letters", "events.dead-letter")
            return text.replace(f"{mark}.", "").replace(BOOTSTRAP, "127.0.0.1:19092")

        end = f"end-of-block-{mark}"
        mark_end = f"{{ echo; echo {end}; }}\n{{ echo; echo {end}; }} >&2\n"
        script = f"set -m 2> /dev/null\n{mark_end}" + "".join(f"{ours(commands)}\n{mark_end}" for commands, _, _ in found)
        process = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   cwd=ROOT, env=environment, text=True, start_new_session=True)
        try:
            out, _ = process.communicate(script, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            subprocess.run(["pkill", "-9", "-s", str(process.pid)], check=False)  # background jobs have process groups of their own
            out, _ = process.communicate()
            print(out[-2000:])
            sys.exit(f"{name}: not done after {TIMEOUT_S} s")
        parts = re.split(rf"\n?{end}\n\n?{end}\n", out)
        parts = parts[1:]  # what the shell itself says at its start
        assert len(parts) == len(found) + 1, f"{name}: {len(parts) - 1} of {len(found)} blocks were run:\n{out[-2000:]}"
        bad = 0
        for (commands, expected, how), got in zip(found, parts):
            if expected is not None and not same(expected, theirs(got), how):
                bad += 1
                print(f"{name}: these commands print something else than the page says:\n{commands}\n"
                      f"--- the page\n{expected}\n--- printed\n{theirs(got)}")
        assert bad == 0, f"{name}: {bad} of {len(found)} blocks differ"
        compared = sum(expected is not None for _, expected, _ in found)
        print(f"{name}: {len(found)} blocks run, {compared} compared")


def main():
    if not BOOTSTRAP:
        print("FRESHET_BOOTSTRAP is not set; scripts/test does")
        sys.exit(77)
    pages = sys.argv[1:] or sorted(os.path.join(TUTORIALS, f) for f in os.listdir(TUTORIALS) if f.endswith(".md"))
    assert pages
    # The comparison itself can fail.
    assert same_line("in 0.11 s, 136530 records/s", "in 2.5 s, 77 records/s") and not same_line("events 12000", "events 12001")
    assert same_line("recall@10 0.1246", "recall@10 0.1190") and not same_line("recall@10 0.1246", "recall@10 0.0900")
    assert same("a\n...\nz", "a\nb\nc\nz", "") and not same("a\nz", "a\nb\nz", "") and not same("a", "", "varies")
    for page in pages:
        run(page)


main()
