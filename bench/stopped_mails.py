"""Measures checkouts while Notification is stopped, beside those while it runs, in turns; and that every mail comes.

A round is a number of orders at a rate that the fleet can bear. Notification is stopped before every other round, and
started again after it; the round ends when the fleet has written as many mails as orders were confirmed.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.buying import Buying, buying, settle
from bench.figures import Figure, Section, at_least, below, median, progress
from bench.fleet_system import FleetSystem, running_fleet
from bench.load import Sent, load

CLIENTS = 4
TOLERANCE = 0.10
PATIENCE = 300.0
"""Seconds in which every mail must have come."""


@dataclass(frozen=True, slots=True)
class Round:
    """Orders while Notification ran, or was stopped; the mails that came about them, and in how many seconds."""

    stopped: bool
    sent: Sent
    mails: int
    took: float


def measure(folder: Path, *, orders: int, rounds: int) -> Section:
    """Starts a fleet with its bus, and takes `orders` orders in each of `rounds` pairs of rounds."""
    with running_fleet(folder / "stopped-mails") as system:
        buy = buying(system)
        progress("stopped mails: warming up")
        load(replace(buy(requests=orders), clients=CLIENTS))
        settle(system)
        found: list[Round] = []
        for number in range(rounds):
            for stopped in (True, False) if number % 2 == 0 else (False, True):
                progress(f"stopped mails: round {number + 1} of {rounds}, {'stopped' if stopped else 'running'}")
                found.append(_round(system, buy, orders, stopped))
    section = Section("stopped mails", details={"rounds": [_details(one) for one in found]})
    _report(section, found)
    return section


def _round(system: FleetSystem, buy: Buying, orders: int, stopped: bool) -> Round:
    before = system.mails()
    if stopped:
        system.souk("stop", "notification")
    sent = load(replace(buy(requests=orders), clients=CLIENTS))
    meanwhile = system.mails() - before
    if stopped and meanwhile:
        raise RuntimeError(f"{meanwhile} mails were written while Notification was stopped")
    if stopped:
        system.souk("start", "notification")
    began = time.monotonic()
    while (mails := system.mails() - before) < sent.answers and time.monotonic() - began < PATIENCE:
        time.sleep(0.05)
    took = time.monotonic() - began
    settle(system)
    return Round(stopped, sent, system.mails() - before if mails >= sent.answers else mails, took)


def _report(section: Section, found: Sequence[Round]) -> None:
    away, there = ([one for one in found if one.stopped is stopped] for stopped in (True, False))
    ratio = median(one.sent.p99 for one in away) / median(one.sent.p99 for one in there)
    half = median(one.sent.p50 for one in away) / median(one.sent.p50 for one in there)
    beside = "while it runs, in turns"
    missing = sum(one.sent.answers for one in found) - sum(one.mails for one in found)
    section.add(
        Figure(f"checkouts without Notification, {CLIENTS} clients", sum(one.sent.answers for one in away), "orders"),
        Figure(
            "  99 of 100 answered within",
            median(one.sent.p99 for one in away),
            "ms",
            beside,
            ratio,
            **below(1 + TOLERANCE, ratio, "1.10 times"),
        ),
        Figure("  half of them answered within", median(one.sent.p50 for one in away), "ms", beside, half),
        Figure("  started again, until their last mail", median(one.took for one in away), "s a round"),
        Figure("  mails about them", sum(one.mails for one in away), "mails"),
        Figure("  orders without a mail, of all rounds", missing, "orders", **at_least(0, -abs(missing), "none")),
    )


def _details(one: Round) -> dict[str, object]:
    return {"stopped": one.stopped, "p50": one.sent.p50, "p99": one.sent.p99, "mails": one.mails, "took": one.took}
