"""Measures orders through the whole HTTP path (gateway, services, saga, every commit on the disk) and their limit.

Rounds of orders and rounds of only their statements alternate, so that other work of the machine slows
both.
"""

from dataclasses import dataclass
from pathlib import Path

from bench.buying import Buying, buying, settle
from bench.figures import Figure, Section, at_least, below, median, progress
from bench.limit import WAYS, Limit, Way
from bench.load import Sent, load
from bench.system import System, running


@dataclass(frozen=True, slots=True)
class Round:
    """The results of one round: `cpu` is the system's, in ms for each order, `lag` the seconds until the last email.

    `limits` are the orders per second of each way to replay only the statements.
    """

    sent: Sent
    cpu: float
    lag: float
    limits: dict[Way, float]


def measure(folder: Path, *, seconds: float, rounds: int, recorded: int) -> Section:
    """Starts a system in `folder`, and measures its orders."""
    limit = Limit.recorded(folder, recorded)
    with running(folder / "orders") as system:
        idle = system.memory
        order = buying(system)
        progress("orders: warming up")
        load(order(seconds=seconds / 2))
        settle(system)
        found = [_round(f"{number + 1} of {rounds}", system, order, seconds, limit) for number in range(rounds)]
        loaded = system.memory
    section = Section("orders", details={"rounds": [_details(one) for one in found], "per order": limit.counts()})
    _report(section, found)
    section.add(
        Figure("memory once ready", idle, "MiB", **below(150, idle, "150")),
        Figure("memory after that load", loaded, "MiB", **below(150, loaded, "150")),
    )
    return section


def _round(name: str, system: System, order: Buying, seconds: float, limit: Limit) -> Round:
    progress(f"orders: round {name}")
    cpu = system.cpu
    sent = load(order(seconds=seconds))
    cpu = (system.cpu - cpu) / sent.answers * 1000
    lag = settle(system)
    progress(f"orders: their statements alone, round {name}")
    return Round(sent, cpu, lag, {way: limit.play(way) for way in WAYS})


def _report(section: Section, found: list[Round]) -> None:
    per_second = median(one.sent.per_second for one in found)
    section.add(
        Figure("orders, 32 clients", per_second, "orders/s", **at_least(800, per_second, "800")),
        Figure("  half of them answered within", median(one.sent.p50 for one in found), "ms"),
        Figure("  99 of 100 answered within", median(one.sent.p99 for one in found), "ms"),
        Figure("  CPU of the system", median(one.cpu for one in found), "ms an order"),
        Figure("  CPU of the load generator", median(one.sent.cpu for one in found), "cores"),
        Figure("  until the last email is written", median(one.lag for one in found), "s"),
    )
    for way in WAYS:
        ratio = median(one.sent.per_second / one.limits[way] for one in found)
        verdict = at_least(0.5, ratio, "half") if way.group == 1 else {}
        value = median(one.limits[way] for one in found)
        section.add(Figure(f"limit: {way.name}", value, "orders/s", "orders of the same round", ratio, **verdict))


def _details(one: Round) -> dict[str, object]:
    limits = {way.name: value for way, value in one.limits.items()}
    return {"orders/s": one.sent.per_second, "cpu": one.cpu, "lag": one.lag, "limits": limits}
