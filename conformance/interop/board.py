"""Runs checks and shows what became of them."""

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from .client import Impossible

WORKERS = 4
"""How many cells of a table run at once."""


class Board:
    """The results of every check so far."""

    def __init__(self, only: str | None = None):
        self.passed, self.failures, self.impossible = 0, [], []
        self._only, self._section = only, None

    def wants(self, title: str) -> bool:
        """Whether a table or check was asked for."""
        return self._only is None or re.search(self._only, title) is not None

    def table(self, title: str, rows: list, columns: list, check: Callable, corner: str = ""):
        """Runs `check(row, column)` for every cell, several at once, and prints the table.

        Rows and columns are pairs of a label and whatever the check wants. A check raises where it fails, and
        may return the seconds that count; else the time of the whole check is shown.
        """
        if not self.wants(title):
            return
        with ThreadPoolExecutor(WORKERS) as pool:
            cells = [
                [pool.submit(self._cell, f"{title}: {row[0]} -> {column[0]}", check, row[1], column[1])
                 for column in columns]
                for row in rows
            ]
            texts = [[cell.result() for cell in row] for row in cells]
        print(f"\n{title}")
        labels = [corner, *(row[0] for row in rows)]
        first = max(map(len, labels))
        widths = [max(len(word) for word in column[0].split("|")) + 2 for column in columns]
        widths = [max(width, 9) for width in widths]
        for line in range(max(column[0].count("|") for column in columns) + 1):
            heads = [(column[0].split("|") + [""])[line] for column in columns]
            start = corner if line == 0 else ""
            print(f"  {start:<{first}}" + "".join(f"{head:>{w}}" for head, w in zip(heads, widths)))
        for row, line in zip(rows, texts):
            print(f"  {row[0]:<{first}}" + "".join(f"{text:>{w}}" for text, w in zip(line, widths)), flush=True)
        self._explain(title)

    def section(self, title: str):
        """Puts a title over the checks that follow."""
        self._section = title

    def check(self, title: str, check: Callable, *arguments):
        """Runs one check and prints its line."""
        if not self.wants(title):
            return
        if self._section:
            print(f"\n{self._section}")
            self._section = None
        print(f"  {self._cell(title, check, *arguments):>9}  {title}", flush=True)
        self._explain(title)

    def _cell(self, name, check, *arguments) -> str:
        began = time.perf_counter()
        try:
            seconds = check(*arguments)
        except Impossible as error:
            self.impossible.append((name, str(error)))
            return "not here"
        except Exception as error:  # a client may raise whatever it likes; it is the finding
            self.failures.append((name, f"{type(error).__name__}: {error}"))
            return "FAIL"
        self.passed += 1
        if seconds is None:
            seconds = time.perf_counter() - began
        return f"{seconds * 1000:.0f} ms"

    def _explain(self, title):
        for name, reason in self.failures:
            if name.startswith(title):
                print(f"  FAIL {name}\n       {reason}", flush=True)
        for name, reason in self.impossible:
            if name.startswith(title):
                print(f"  NOT POSSIBLE HERE {name}\n       {reason}", flush=True)
