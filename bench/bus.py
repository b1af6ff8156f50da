"""Measures what a bus costs: a fleet with its own, beside one whose services call each other with their events.

Both run at once, and take orders in turns, so that other work of the machine slows both. The CPU of a round is counted
until the last mail is written.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.buying import Buying, buying, settle
from bench.figures import Figure, Section, below, median, progress
from bench.fleet_system import FleetSystem, running_fleet, spent
from bench.load import Sent, load

BUS, CALLS = "bus", "calls"
WAYS: Mapping[str, tuple[str, ...]] = {CALLS: ("--broker", "none"), BUS: ()}
"""How events travel, and the options of a fleet for that."""
_NAMES = {CALLS: "events by calls (--broker none)", BUS: "events through the bus"}
_AT_REST = 10.0
"""Seconds for which CPU at rest is measured."""


@dataclass(frozen=True, slots=True)
class Round:
    """One fleet in one round: `cpu` in ms for each order, by kind of process; `lag` in seconds, until the last mail."""

    sent: Sent
    cpu: Mapping[str, float]
    lag: float

    @property
    def total(self) -> float:
        """The CPU of all processes, in ms for each order."""
        return sum(self.cpu.values())


@dataclass(frozen=True, slots=True)
class Measured:
    """All of one fleet. Start times in seconds, memory in MiB, `rest` in cores."""

    starts: Sequence[float]
    idle: float
    loaded: float
    rest: float
    rounds: Sequence[Round]


def measure(folder: Path, *, seconds: float, rounds: int) -> Section:
    """Starts both fleets several times, and measures their orders in turns."""
    starts: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds - 1):
        for way, options in _in_turn(number):
            progress(f"bus: start {number + 1}, {way}")
            with running_fleet(folder / f"start-{way}-{number}", *options) as system:
                starts[way].append(system.started_in)
    with ExitStack() as stack:
        fleets = {way: stack.enter_context(running_fleet(folder / way, *options)) for way, options in WAYS.items()}
        for way, system in fleets.items():
            starts[way].append(system.started_in)
        found = _measured(fleets, starts, seconds, rounds)
    section = Section("bus", details={way: _details(one) for way, one in found.items()})
    _report(section, found)
    return section


def _measured(
    fleets: Mapping[str, FleetSystem], starts: Mapping[str, Sequence[float]], seconds: float, rounds: int
) -> dict[str, Measured]:
    idle = {way: system.memory for way, system in fleets.items()}
    orders = {way: buying(system) for way, system in fleets.items()}
    for way, system in fleets.items():
        progress(f"bus: warming up, {way}")
        load(orders[way](seconds=seconds / 2))
        settle(system)
    rest = _at_rest(fleets)
    taken: dict[str, list[Round]] = {way: [] for way in fleets}
    for number in range(rounds):
        for way, _ in _in_turn(number):
            progress(f"bus: round {number + 1} of {rounds}, {way}")
            taken[way].append(_round(fleets[way], orders[way], seconds))
    return {
        way: Measured(starts[way], idle[way], system.memory, rest[way], taken[way]) for way, system in fleets.items()
    }


def _in_turn(number: int) -> list[tuple[str, tuple[str, ...]]]:
    """Gives the ways in an order that changes from round to round."""
    ways = list(WAYS.items())
    return ways if number % 2 == 0 else ways[::-1]


def _at_rest(fleets: Mapping[str, FleetSystem]) -> dict[str, float]:
    progress("bus: both at rest")
    before = {way: system.cpu for way, system in fleets.items()}
    time.sleep(_AT_REST)
    return {way: (system.cpu - before[way]) / _AT_REST for way, system in fleets.items()}


def _round(system: FleetSystem, order: Buying, seconds: float) -> Round:
    before = system.usage()
    sent = load(order(seconds=seconds))
    lag = settle(system)
    return Round(sent, spent(before, system.usage(), sent.answers), lag)


def _report(section: Section, found: Mapping[str, Measured]) -> None:
    calls = found[CALLS]
    for way, one in found.items():
        beside = {"against": "events by calls, same rounds"} if way == BUS else {}

        def line(what: str, mine: float, its: float, unit: str, beside: Mapping[str, str] = beside) -> Figure:
            return Figure(what, mine, unit, **beside, ratio=mine / its) if beside and its else Figure(what, mine, unit)

        pairs = list(zip(one.rounds, calls.rounds, strict=True))
        rate = median(each.sent.per_second for each in one.rounds)
        p99 = median(each.sent.p99 for each in one.rounds)
        cpu, its_cpu = (median(each.total for each in rounds) for rounds in (one.rounds, calls.rounds))
        faster = median(mine.sent.per_second / its.sent.per_second for mine, its in pairs)
        section.add(
            line(f"fleet, {_NAMES[way]}: orders, 32 clients", rate, rate / faster, "orders/s"),
            line("  99 of 100 answered within", p99, median(each.sent.p99 for each in calls.rounds), "ms"),
            line("  until the last mail is written", median(each.lag for each in one.rounds), 0.0, "s"),
            line("  CPU of all processes", cpu, its_cpu, "ms an order"),
            *_by_kind(one, calls, beside),
            line("  CPU at rest", one.rest * 100, calls.rest * 100, "% of a core"),
            line("  memory once ready", one.idle, calls.idle, "MiB"),
            line("  memory after that load", one.loaded, calls.loaded, "MiB"),
            line(f"  ready after, median of {len(one.starts)}", median(one.starts), median(calls.starts), "s"),
        )
    ratio = median(each.total for each in found[BUS].rounds) / median(each.total for each in calls.rounds)
    section.add(Figure("CPU an order, bus beside calls", ratio, "times", **below(1.05, ratio, "1.05")))


def _by_kind(one: Measured, calls: Measured, beside: Mapping[str, str]) -> list[Figure]:
    figures = []
    for kind in one.rounds[-1].cpu:
        mine, its = (median(each.cpu.get(kind, 0.0) for each in rounds) for rounds in (one.rounds, calls.rounds))
        is_compared = bool(beside and its)
        against, ratio = (beside["against"], mine / its) if is_compared else ("", None)
        figures.append(Figure(f"    {kind}", mine, "ms an order", against, ratio))
    return figures


def _details(one: Measured) -> dict[str, object]:
    return {
        "starts": one.starts,
        "rounds": [{"orders/s": each.sent.per_second, "p99": each.sent.p99, "cpu": each.cpu} for each in one.rounds],
    }
