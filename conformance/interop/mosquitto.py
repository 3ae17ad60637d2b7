"""pub, sub and rr beside mosquitto's clients: the same flags, the same server, the same output."""

import itertools
import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from .client import TIMEOUT, Silence, unique

PUBLISHED = [
    ["-t", "{}/plain", "-m", "21.5"],
    ["-t", "{}/empty", "-n"],
    ["-t", "{}/hyphen", "-m", "-5"],
    ["-t", "{}/once", "-q", "2", "-m", '{{"b": [1, 2.5],  "a": "x \\" y"}}'],
    ["-t", "{}/text", "-q", "1", "-m", "line one\nline \ttwo é"],
    ["-t", "{}/repeat", "--repeat", "3", "-q", "1", "-m", "again"],
    ["-V", "5", "-t", "{}/said", "-q", "1", "-m", "1",
     "-D", "publish", "content-type", "text/plain", "-D", "publish", "response-topic", "answer",
     "-D", "publish", "correlation-data", "id", "-D", "publish", "message-expiry-interval", "1000",
     "-D", "publish", "payload-format-indicator", "1",
     "-D", "publish", "user-property", "k", "v", "-D", "publish", "user-property", "l", "w"],
]
"""What is published; the braces stand for the topic."""

PRINTED = [
    [], ["-v"], ["-N"], ["-v", "-N"], ["-R"], ["-T", "{}/text"], ["-q", "1"], ["-q", "2", "-V", "31"],
    ["-F", "%t %p"], ["-F", "%l|%q|%r|%m|%x|%X|%%|@@|\\t\\\\"], ["-q", "2", "-F", "%20t|%-20t|%06l|%-6l|%6l|%.4t|%8m"],
    ["-V", "5", "-q", "2", "-F", "%C|%D|%E|%F|%P|%R|%S|%A|%8E|%08E|%12C"],
    ["-V", "5", "-D", "subscribe", "subscription-identifier", "7", "-F", "%S %p"],
    ["-q", "2", "-F", "%j"], ["-V", "5", "-q", "2", "-F", "%j"], ["-F", "%j", "--pretty"],
    ["-V", "5", "-F", "@Y-@m-@d %t"],
]
"""How it is printed."""

FAILING = [
    ["pub", "-t", "a/+", "-m", "x"], ["pub", "-t", "a"], ["pub", "-m", "x"], ["pub", "-t", "a", "-f", "/no/such/file"],
    ["pub", "-t", "a", "-m", "x", "-q", "3"], ["pub", "-t", "a", "-m", "x", "-V", "6"], ["pub", "-t", "a", "-m", "x", "-c"],
    ["sub"], ["sub", "-t", "a#"], ["sub", "-t", "a", "-F", "%z"], ["sub", "-t", "a", "-W", "1"],
    ["sub", "-t", "a", "-E"], ["sub", "-U", "a", "-t", "b", "-E"], ["rr", "-t", "a", "-m", "x"],
    ["rr", "-t", "a", "-e", "b", "-m", "x", "-W", "1"],
]
"""Command lines that end by themselves: both clients must find them good, late, or neither."""


def checks(board, binary, ports):
    """Compares the clients where mosquitto's are installed."""
    if shutil.which("mosquitto_sub") is None:
        return
    board.section("our clients beside mosquitto's")
    port = str(ports["mqtt"])
    for flags in PRINTED:
        board.check("sub " + " ".join(flags).replace("{}/", ""), _printed, binary, port, ports["http"], flags)
    for words in FAILING:
        board.check(" ".join(words), _failing, binary, port, words)
    board.check("pub -l: a message a line, empty ones too", _lines, binary, port, ports["http"])
    board.check("rr: question and answer", _request, binary, port, ports["http"])
    board.check("sub --retained-only --remove-retained", _removed, binary, port)


def _commands(binary, name, port):
    server = ["-h", "127.0.0.1", "-p", port]
    return [f"mosquitto_{name}", *server], [binary, name, *server]


def _filled(words, topic):
    return [word.format(topic) if "{" in word else word for word in words]


def _printed(binary, port, http, flags):
    """Both subscribers print what either publisher sent."""
    topic = unique("flags")
    expected = 0
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / "theirs", Path(folder) / "ours"]
        running = []
        for command, output in zip(_commands(binary, "sub", port), outputs):
            with output.open("wb") as out:
                name = ["-i", f"{topic}-{output.name}"]
                words = [*command, *name, *_filled(flags, topic), "-t", f"{topic}/#", "-t", f"{topic}end", "-W", "60"]
                running.append(subprocess.Popen(words, stdout=out, stderr=subprocess.DEVNULL))
        try:
            # Neither client tells when it has subscribed, but the server does.
            for output in outputs:
                _await(lambda: _subscriptions(http, f"{topic}-{output.name}") == 2, f"subscriptions of {output.name}")
            for words in PUBLISHED:
                for command in _commands(binary, "pub", port):
                    _run([*command, *_filled(words, topic)])
                    expected += 1
            with suppress(Silence):
                _await(lambda: _is_quiet(outputs) and _lengths_agree(outputs), "output")
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(TIMEOUT)
        theirs, ours = (_comparable(output.read_bytes(), flags) for output in outputs)
    for number, (one, other) in enumerate(itertools.zip_longest(theirs, ours)):
        if one != other:
            raise AssertionError(f"in place {number} theirs is {one!r}, ours {other!r}")
    if not theirs and "-R" not in flags:
        raise AssertionError("nothing was printed")


def _subscriptions(http, client_id):
    """How many subscriptions the server knows of a client."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{http}/clients/{client_id}", timeout=TIMEOUT) as answer:
            return len(json.load(answer)["subscriptions"])
    except urllib.error.HTTPError:
        return 0  # it is not there yet


def _lengths_agree(outputs):
    """Whether both have printed as many lines; if they never do, that is the finding."""
    return len({output.read_bytes().count(b"\n") for output in outputs}) == 1


_sizes = {}


def _is_quiet(outputs):
    """Whether nothing was added for a while."""
    sizes = tuple(output.stat().st_size for output in outputs)
    key = str(outputs[0])
    last, since = _sizes.get(key, (None, 0))
    if sizes != last:
        _sizes[key] = (sizes, time.monotonic())
        return False
    return time.monotonic() - since > 0.5


def _comparable(output, flags):
    """Lines; of JSON the values, without the time, which mosquitto writes differently in each version."""
    if "%j" not in flags:
        return output.splitlines(keepends=True)
    texts = re.split(r"(?<=\})\n", output.decode())
    values = [json.loads(text) for text in texts if text]
    for value in values:
        value.pop("tst")
    return values


def _failing(binary, port, words):
    codes = [_run([*command, *words[1:]], check=False).returncode for command in _commands(binary, words[0], port)]
    kinds = ["good" if code == 0 else "late" if code == 27 else "bad" for code in codes]
    if kinds[0] != kinds[1]:
        raise AssertionError(f"theirs ends with {codes[0]}, ours with {codes[1]}")


def _lines(binary, port, http):
    for qos in "012":
        topic = unique("lines")
        command = [*_commands(binary, "sub", port)[1], "-i", topic, "-t", f"{topic}/#", "-v", "-q", qos, "-C", "8", "-W", "10"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as subscriber:
            _await(lambda: _subscriptions(http, topic) == 1, "subscription")
            for side, publisher in enumerate(_commands(binary, "pub", port)):
                words = [*publisher, "-t", f"{topic}/{side}", "-l", "-q", qos]
                subprocess.run(words, input=b"a\n\n b \nlast", timeout=TIMEOUT, check=True)
            printed = subscriber.communicate(timeout=TIMEOUT)[0].decode().splitlines()
        halves = [[line.split(" ", 1)[1] for line in printed if line.startswith(f"{topic}/{side}")] for side in (0, 1)]
        if halves[0] != halves[1] or len(halves[0]) != 4:
            raise AssertionError(f"theirs {halves[0]}, ours {halves[1]}")


def _request(binary, port, http):
    answers = []
    for command in _commands(binary, "rr", port):
        topic = unique("ask")
        words = [*command, "-t", f"{topic}/q", "-e", f"{topic}/a", "-m", "question", "-W", "10", "-v"]
        answering = [*_commands(binary, "sub", port)[0], "-i", topic, "-V", "5", "-t", f"{topic}/q", "-C", "1", "-F", "%R %p", "-W", "10"]
        with subprocess.Popen(answering, stdout=subprocess.PIPE) as subscriber:
            _await(lambda: _subscriptions(http, topic) == 1, "subscription")
            with subprocess.Popen(words, stdout=subprocess.PIPE) as asking:
                question = subscriber.communicate(timeout=TIMEOUT)[0].decode()
                _run([*_commands(binary, "pub", port)[0], "-t", f"{topic}/a", "-m", "answer"])
                answer = asking.communicate(timeout=TIMEOUT)[0].decode()
        answers.append((question.replace(topic, ""), answer.replace(topic, ""), asking.returncode))
    if answers[0] != answers[1]:
        raise AssertionError(f"theirs {answers[0]}, ours {answers[1]}")


def _removed(binary, port):
    printed = []
    for command in _commands(binary, "sub", port):
        topic = unique("removed")
        for level in ("a", "b"):
            _run([*_commands(binary, "pub", port)[0], "-t", f"{topic}/{level}", "-m", level, "-r", "-q", "1"])
        words = [*command, "-t", f"{topic}/#", "-v", "--retained-only", "--remove-retained", "-T", f"{topic}/b", "-W", "1"]
        first = _run(words, check=False).stdout.decode()
        left = _run([*_commands(binary, "sub", port)[0], "-t", f"{topic}/#", "-v", "-W", "1"], check=False)
        printed.append((first.replace(topic, ""), left.stdout.decode().replace(topic, "")))
    if printed[0] != printed[1] or printed[0] != ("/a a\n", "/b b\n"):
        raise AssertionError(f"theirs {printed[0]}, ours {printed[1]}")


def _run(words, check=True):
    return subprocess.run(words, timeout=30, check=check, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _await(condition, what):
    end = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > end:
            raise Silence(f"no end of {what} within {TIMEOUT:g} s")
        time.sleep(0.05)
