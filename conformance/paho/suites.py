"""Runs the interoperability suites of a checkout of eclipse/paho.mqtt.testing against a server on a free port.

    python3 suites.py --server BINARY [--config FILE] CHECKOUT [CASE…]

The server starts with watersmeet.toml beside this file unless FILE names another configuration, and ends with the
suites. With CASE only the cases are run whose names have that text.

The suites take their server from the command line and then hand the same command line to unittest, which does not
know their options; here each is run with its own, and unittest is called for it.
"""

import argparse
import json
import os
import pathlib
import re
import runpy
import subprocess
import sys
import tempfile
import time
import unittest

SUITES = {"MQTT 3.1.1": "client_test.py", "MQTT 5": "client_test5.py"}

RACING = {"test_request_response", "test_subscribe_options"}
"""Cases that publish before their second client's SUBACK was awaited; they are given more than one try."""

TRIES = 4

START = 20.0
"""How long the server may take to start, in seconds."""


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--server", required=True)
    arguments.add_argument("--config", default=pathlib.Path(__file__).with_name("watersmeet.toml"))
    arguments.add_argument("checkout", type=pathlib.Path)
    arguments.add_argument("cases", nargs="*")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="watersmeet-paho-") as folder:
        server, port = start(chosen.server, chosen.config, pathlib.Path(folder))
        try:
            return run_all(chosen.checkout / "interoperability", port, chosen.cases)
        finally:
            server.terminate()
            server.wait()


def start(binary: str, config: str, folder: pathlib.Path) -> tuple[subprocess.Popen, str]:
    """Starts the server; returns it and the port of its MQTT listener."""
    ready, log = folder / "ready.json", folder / "log.txt"
    command = [str(pathlib.Path(binary).resolve()), "serve", "--ready-file", str(ready)]
    command += ["--config", str(pathlib.Path(config).resolve())]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WATERSMEET_")}
    shown = subprocess.run(
        [command[0], "config", "show", *command[4:]], capture_output=True, text=True, env=clean, check=True
    )
    # Other listeners would want ports that may be taken.
    for listener in set(re.findall(r"^\[listeners\.([^.\]]+)\]", shown.stdout, re.MULTILINE)) - {"mqtt"}:
        clean[f"WATERSMEET_LISTENERS__{listener.upper().replace('-', '_')}__ENABLED"] = "false"
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, env=clean)
    end = time.monotonic() + START
    while not ready.exists():
        if server.poll() is not None or time.monotonic() > end:
            server.kill()
            sys.exit(f"the server does not start:\n{log.read_text()}")
        time.sleep(0.05)
    return server, json.loads(ready.read_text())["listeners"]["mqtt"].rsplit(":", 1)[1]


def run_all(folder: pathlib.Path, port: str, only: list[str]) -> int:
    """Runs both suites and prints what failed and the counts; returns the exit code."""
    sys.path.insert(0, str(folder))
    passed = failed = 0
    for title, script in SUITES.items():
        began = time.monotonic()
        result = run(folder / script, port, only)
        broken = [fault for fault in result.failures + result.errors if not wins(folder / script, port, fault[0])]
        good = result.testsRun - len(broken) - len(result.skipped)
        print(f"== {title}: {good} passed, {len(broken)} failed, {time.monotonic() - began:.0f} s", flush=True)
        for case, trace in broken:
            print(f"-- {case.id()}\n{trace}", flush=True)
        passed, failed = passed + good, failed + len(broken)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def wins(script: pathlib.Path, port: str, case: unittest.TestCase) -> bool:
    """Whether a case that failed because it races passes at a later try."""
    name = case.id().rsplit(".", 1)[-1]
    if name not in RACING:
        return False
    for number in range(2, TRIES + 1):
        if run(script, port, [name]).wasSuccessful():
            print(f"-- {name} races within the suite; it passed at try {number}", flush=True)
            return True
    return False


def run(script: pathlib.Path, port: str, only: list[str]) -> unittest.TestResult:
    """Runs the cases of one suite as its own `unittest.main()` would."""
    results = []

    def instead_of_main() -> None:
        cases = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
        results.append(unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(select(cases, only)))

    original, unittest.main = unittest.main, instead_of_main
    sys.argv = [str(script), "-p", port]
    try:
        runpy.run_path(str(script), run_name="__main__")
    finally:
        unittest.main = original
    return results[0]


def select(cases: unittest.TestSuite, only: list[str]) -> unittest.TestSuite:
    """The cases whose name has one of the texts; all of them if there is no text."""
    if not only:
        return cases
    chosen = unittest.TestSuite()
    for case in cases:
        if isinstance(case, unittest.TestSuite):
            chosen.addTests(select(case, only))
        elif any(text in case.id() for text in only):
            chosen.addTest(case)
    return chosen


if __name__ == "__main__":
    sys.exit(main())
