"""Puts one fault after another into a copy of the tree, and looks whether the test that should fail does.

    python3 mutate.py MUTANTS COPY TARGET [STATEMENT…]

MUTANTS is a file of `[[mutant]]` tables: statement, file, before, after, test. COPY is a work tree of this repository
that nobody else uses; its files are changed and put back. TARGET is the folder for cargo's output. Beside MUTANTS a
table of the outcomes is written, `mutations.md`, unless only some statements are asked for.
"""

import json
import os
import pathlib
import subprocess
import sys
import tomllib

PATIENCE = 300
"""How long one build or one test may take, in seconds."""


def main() -> int:
    mutants_file, copy, target, *only = sys.argv[1:]
    copy = pathlib.Path(copy)
    mutants = tomllib.loads(pathlib.Path(mutants_file).read_text())["mutant"]
    chosen = [mutant for mutant in mutants if not only or mutant["statement"] in only]
    runner = Runner(copy, target)
    outcomes = [(mutant, runner.outcome(mutant)) for mutant in chosen]
    caught = sum(outcome == "caught" for _, outcome in outcomes)
    print(f"{caught} caught, {len(outcomes) - caught} not")
    if not only:
        pathlib.Path(mutants_file).with_name("mutations.md").write_text(table(outcomes))
    return 0 if caught == len(outcomes) else 1


class Runner:
    """Builds the changed server and runs single tests against it."""

    def __init__(self, copy: pathlib.Path, target: str):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WATERSMEET_")}
        self.copy = copy
        self.environment = clean | {"CARGO_TARGET_DIR": target, "WATERSMEET_BIN": f"{target}/debug/watersmeet"}
        # The black-box tests know the server by its sockets only: they are built once, and never changed.
        built = self.run("cargo", "test", "--quiet", "-p", "suite", "--test", "blackbox", "--no-run", "--message-format=json")
        lines = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
        executables = [line["executable"] for line in lines if line.get("executable")]
        if built.returncode or not executables:
            sys.exit(f"the tests cannot be built:\n{built.stderr}")
        self.blackbox = executables[-1]

    def outcome(self, mutant: dict) -> str:
        file = self.copy / mutant["file"]
        text = file.read_text()
        found = text.count(mutant["before"])
        if found != 1:
            return self.told(mutant, f"stale: found {found} times")
        file.write_text(text.replace(mutant["before"], mutant["after"]))
        try:
            return self.told(mutant, self.judge(mutant["test"]))
        finally:
            file.write_text(text)

    def judge(self, test: str) -> str:
        group, name = test.split("::", 1)
        if group == "blackbox":
            built = self.run("cargo", "build", "--quiet", "-p", "server")
            command = [self.blackbox, "--exact", name]
        else:
            built = self.run("cargo", "test", "--quiet", "-p", group, "--lib", "--no-run")
            command = ["cargo", "test", "--quiet", "-p", group, "--lib", name, "--", "--exact"]
        if built.returncode:
            return "does not compile: " + built.stderr[-2000:]
        tested = self.run(*command)
        if "running 1 test" not in tested.stdout:
            return "no such test"
        return "caught" if tested.returncode else "survived"

    def run(self, *command: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            command, cwd=self.copy, env=self.environment, capture_output=True, text=True, timeout=PATIENCE
        )

    def told(self, mutant: dict, outcome: str) -> str:
        print(f"{outcome:10} {mutant['statement']:14} {mutant['test'].rsplit('::', 1)[1]}", flush=True)
        return outcome


def table(outcomes: list[tuple[dict, str]]) -> str:
    caught = sum(outcome == "caught" for _, outcome in outcomes)
    lines = [
        "# Mutations",
        "",
        "Written by `conformance/run mutate` from mutants.toml: each fault stood alone in the server, and the test ran.",
        f"{caught} of {len(outcomes)} were caught.",
        "",
        "| statement | file | before | the fault | test | outcome |",
        "|---|---|---|---|---|---|",
    ]
    for mutant, outcome in outcomes:
        cells = [mutant["statement"], mutant["file"], code(mutant["before"]), code(mutant["after"]), mutant["test"], outcome]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """The text as code in a cell of a table."""
    return "`" + " ".join(text.split()).replace("|", "\\|") + "`"


if __name__ == "__main__":
    sys.exit(main())
