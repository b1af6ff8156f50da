"""Measures the limit of a monolith: only the statements and commits of real orders.

A system takes orders from 32 clients while every statement of its databases is recorded. Then the statements are
replayed with the bare driver on a copy of the data that the system began with: with a commit for each transaction, and
with one for 32 of a file, as if 32 orders always met. Commits are as durable (`synchronous=FULL`); there are no
gateway, calls, messages, sagas, events or mails.
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
    """One way to replay: `group` transactions share a commit; with `threads` each file has a thread of its own."""

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
    """The recorded statements of `orders` orders, sent between `began` and `ended` (seconds, monotonic)."""

    folder: Path
    orders: int
    began: float
    ended: float

    @classmethod
    def recorded(cls, folder: Path, orders: int) -> "Limit":
        """Records a system's statements while it takes orders; the databases from before are in `before`."""
        with running(folder / "recorded") as system:
            buying(system)
        shutil.copytree(folder / "recorded", folder / "before")
        progress("limit: recording the statements of orders")
        with running(folder / "recorded", (sys.executable, "-m", "bench.recorder", str(folder / _FILE))) as system:
            sent = load(buying(system)(requests=orders))
            ended = sent.ended + settle(system) + 0.5
        return cls(folder, sent.answers, sent.began, ended)

    def play(self, way: Way) -> float:
        """Replays the statements; returns orders per second.

        Raises RuntimeError when the replay did not confirm as many orders as were recorded.
        """
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
        """Gives, for each database file, the transactions, statements and reads of one order."""
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
