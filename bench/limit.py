"""The limit: the statements and commits of real orders, alone.

A system takes orders from 32 clients while every statement of its databases is written down. Then the
statements are played with the bare driver on a copy of the data that it began with: with a commit for
each transaction, and with one for 32 of a file, as if 32 orders always met. Durable alike
(`synchronous=FULL`), without gateway, calls, messages, saga, events or mail.
"""

import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.buying import CLIENTS, buying, settle
from bench.figures import progress
from bench.load import load
from bench.recorder import read
from bench.replay import transactions
from bench.system import running

_FILE = "statements"


@dataclass(frozen=True, slots=True)
class Way:
    """One way of playing: what it is called, how many transactions share a commit, a thread a file or one for all."""

    name: str
    group: int
    threads: bool


WAYS = (
    Way("a commit a transaction, one after the other", 1, threads=False),
    Way("a commit a transaction, all databases at once", 1, threads=True),
    Way("a commit for 32, one after the other", CLIENTS, threads=False),
    Way("a commit for 32, all databases at once", CLIENTS, threads=True),
)


@dataclass(frozen=True, slots=True)
class Limit:
    """The statements of so many `orders`, given between `began` and `ended`."""

    folder: Path
    orders: int
    began: float
    ended: float

    @classmethod
    def recorded(cls, folder: Path, orders: int) -> "Limit":
        """Takes orders and records them; the databases as they were before lie in `before`."""
        with running(folder / "recorded") as system:
            buying(system)
        shutil.copytree(folder / "recorded", folder / "before")
        progress("limit: recording the statements of orders")
        with running(folder / "recorded", (sys.executable, "-m", "bench.recorder", str(folder / _FILE))) as system:
            sent = load(buying(system)(requests=orders))
            ended = sent.ended + settle(system) + 0.5
        return cls(folder, sent.answers, sent.began, ended)

    def play(self, way: Way) -> float:
        """Orders a second. Raises RuntimeError when playing did not do what was recorded."""
        copy = self.folder / "played"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.folder / "before", copy)
        options = (str(self.began), str(self.ended), str(way.group), *(("threads",) if way.threads else ()))
        files = (str(self.folder / _FILE), str(self.folder / "recorded"), str(copy))
        command = (sys.executable, "-m", "bench.replay", *files, *options)
        took = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        if _confirmed(copy) != _confirmed(self.folder / "recorded"):
            raise RuntimeError("played again, the statements did not do the same")
        return self.orders / took

    def counts(self) -> dict[str, dict[str, float]]:
        """For each database file, an order's share of transactions, statements and reads."""
        recorded = read(self.folder / _FILE)
        found: dict[str, Counter[str]] = {}
        for one in transactions(recorded):
            if self.began <= one.time <= self.ended:
                counter = found.setdefault(Path(recorded[one.connection].path).name, Counter())
                counter["transactions" if one.writes else "reads"] += 1
                counter["statements"] += len(one.statements)
        return {path: {what: n / self.orders for what, n in counter.items()} for path, counter in found.items()}


def _confirmed(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "order.db")) as database:
        return int(database.execute("SELECT count(*) FROM orders WHERE status = 'CONFIRMED'").fetchone()[0])
