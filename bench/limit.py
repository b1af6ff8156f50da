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

from bench.figures import Figure, Section, at_least, median, progress
from bench.load import Sent, load
from bench.orders import CLIENTS, buying, settle
from bench.recorder import read
from bench.replay import transactions
from bench.system import running

_RUNS = 3


@dataclass(frozen=True, slots=True)
class Way:
    """One way of playing: what it is called, how many transactions share a commit, a thread a file or one for all."""

    name: str
    group: int
    threads: bool


WITHOUT = Way("a commit a transaction, one after the other", 1, threads=False)
WITHOUT_AT_ONCE = Way("a commit a transaction, all databases at once", 1, threads=True)
WITH = Way("a commit for 32, one after the other", CLIENTS, threads=False)
WITH_AT_ONCE = Way("a commit for 32, all databases at once", CLIENTS, threads=True)


def measure(folder: Path, *, orders: int, ours: float) -> Section:
    """`ours` is how many orders a second the whole system takes, from the same run."""
    record = folder / "statements"
    sent, ended = _record(folder, record, orders)
    section = Section("limit", details={"counts": counts(record, sent.began, ended, sent.answers)})
    for way, aim in ((WITHOUT, True), (WITHOUT_AT_ONCE, False), (WITH, False), (WITH_AT_ONCE, False)):
        progress(f"limit: {way.name}")
        limit = sent.answers / median(_play(folder, record, sent.began, ended, way) for _ in range(_RUNS))
        ratio = ours / limit
        verdict = at_least(0.5, ratio, "half") if aim else {}
        section.add(Figure(f"limit: {way.name}", limit, "orders/s", "orders through HTTP", ratio, **verdict))
    return section


def _record(folder: Path, record: Path, orders: int) -> tuple[Sent, float]:
    """Records orders; the databases as they were before lie in `before`."""
    with running(folder / "recorded") as system:
        buying(system)
    shutil.copytree(folder / "recorded", folder / "before")
    progress("limit: recording the statements of orders")
    with running(folder / "recorded", (sys.executable, "-m", "bench.recorder", str(record))) as system:
        buy = buying(system)
        sent = load(buy(requests=orders))
        ended = sent.ended + settle(system) + 0.5
    return sent, ended


def _play(folder: Path, record: Path, began: float, ended: float, way: Way) -> float:
    copy = folder / "played"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / "before", copy)
    options = (str(began), str(ended), str(way.group), *(("threads",) if way.threads else ()))
    command = (sys.executable, "-m", "bench.replay", str(record), str(folder / "recorded"), str(copy), *options)
    took = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if _confirmed(copy) != _confirmed(folder / "recorded"):
        raise RuntimeError("played again, the statements did not do the same")
    return took


def _confirmed(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "order.db")) as database:
        return int(database.execute("SELECT count(*) FROM orders WHERE status = 'CONFIRMED'").fetchone()[0])


def counts(record: Path, began: float, ended: float, orders: int) -> dict[str, dict[str, float]]:
    """For each database file, an order's share of transactions, statements and reads."""
    recorded = read(record)
    found: dict[str, Counter[str]] = {}
    for one in transactions(recorded):
        if began <= one.time <= ended:
            counter = found.setdefault(Path(recorded[one.connection].path).name, Counter())
            counter["transactions" if one.writes else "reads"] += 1
            counter["statements"] += len(one.statements)
    return {path: {what: count / orders for what, count in counter.items()} for path, counter in found.items()}
