"""Measures what the mesh costs a fleet: two fleets that differ in nothing else take orders in turns."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.buying import Buying, buying, settle
from bench.figures import Figure, Section, below, median, progress
from bench.fleet_system import CONTROL_PLANE, SIDECARS, FleetSystem, running_fleet, spent
from bench.load import Load, load

PLAIN, MESH = "fleet", "fleet with a mesh"
MOST_MEMORY, LONGEST_START = 1_600, 25
CALM = 8.0
"""Orders a second at which neither fleet has to wait for a core, so that latencies say what the way costs."""
BUYERS = 8
"""Clients that order as fast as they are answered: so few that also a busy machine answers each within its time."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Orders a second as many as there can be, how many of them failed, and CPU in ms for each, by kind of process;
    latencies in ms at a calm rate."""

    rate: float
    failed: int
    cpu: float
    kinds: Mapping[str, float]
    p50: float
    p99: float


def measure(folder: Path, *, seconds: float, rounds: int) -> Section:
    """Starts both fleets, and measures their orders in turns; reports medians."""
    with running_fleet(folder / "plain") as plain, running_fleet(folder / "meshed", "--mesh") as meshed:
        fleets = {PLAIN: plain, MESH: meshed}
        idle = {way: one.memory for way, one in fleets.items()}
        begun = {way: one.cpu for way, one in fleets.items()}
        orders = {way: buying(one) for way, one in fleets.items()}
        progress("mesh: fleets warm up")
        for way, one in fleets.items():
            load(_with(orders[way](seconds=seconds / 2), clients=BUYERS, others=True))
            settle(one)
        turns: dict[str, list[Turn]] = {way: [] for way in fleets}
        for number in range(rounds):
            progress(f"mesh: orders of both fleets, round {number + 1} of {rounds}")
            for way in list(fleets)[:: -1 if number % 2 else 1]:
                turns[way].append(_turn(fleets[way], orders[way], seconds))
        loaded = {way: one.memory for way, one in fleets.items()}
        sidecars = meshed.memory_of(SIDECARS)
        started = {way: one.started_in for way, one in fleets.items()}
    section = Section("mesh: a fleet", details={way: [asdict(one) for one in found] for way, found in turns.items()})
    _report(section, turns)
    _report_memory(section, started, idle, loaded, sidecars)
    section.add(*(Figure(f"{way}: CPU until it is ready", seconds, "s") for way, seconds in begun.items()))
    return section


def _turn(system: FleetSystem, order: Buying, seconds: float) -> Turn:
    before = system.usage()
    sent = load(_with(order(seconds=seconds), clients=BUYERS, others=True))
    settle(system)
    kinds = spent(before, system.usage(), sent.answers)
    calm = load(_with(order(seconds=seconds), clients=4, rate=CALM, others=True))
    settle(system)
    return Turn(sent.per_second, sent.other + calm.other, sum(kinds.values()), kinds, calm.p50, calm.p99)


def _with(what: Load, **more: Any) -> Load:
    return Load(**{**asdict(what), **more})


def _report(section: Section, turns: Mapping[str, list[Turn]]) -> None:
    pairs = list(zip(turns[MESH], turns[PLAIN], strict=True))
    for way, found in turns.items():
        section.add(
            Figure(f"{way}: orders, {BUYERS} clients", median(one.rate for one in found), "orders/s"),
            Figure("  of all orders failed", sum(one.failed for one in found), "orders"),
            Figure("  CPU of all processes", median(one.cpu for one in found), "ms an order"),
            Figure(f"  at {CALM:g} orders/s, half of them within", median(one.p50 for one in found), "ms"),
            Figure("  99 of 100 within", median(one.p99 for one in found), "ms"),
        )
    for kind in (SIDECARS, CONTROL_PLANE):
        each = median(one.kinds.get(kind, 0.0) for one in turns[MESH])
        section.add(Figure(f"  CPU of the {kind}", each, "ms an order"))
    section.add(
        Figure("the mesh adds to an order: CPU", median(a.cpu - b.cpu for a, b in pairs), "ms", PLAIN,
               median(a.cpu / b.cpu for a, b in pairs)),
        Figure("  p50 at the calm rate", median(a.p50 - b.p50 for a, b in pairs), "ms", PLAIN,
               median(a.p50 / b.p50 for a, b in pairs)),
        Figure("  p99 at the calm rate", median(a.p99 - b.p99 for a, b in pairs), "ms", PLAIN,
               median(a.p99 / b.p99 for a, b in pairs)),
        Figure("  orders that there can be", median(a.rate for a, _ in pairs), "orders/s", PLAIN,
               median(a.rate / b.rate for a, b in pairs)),
    )  # fmt: skip


def _report_memory(
    section: Section,
    started: Mapping[str, float],
    idle: Mapping[str, float],
    loaded: Mapping[str, float],
    sidecars: list[float],
) -> None:
    for way, found in loaded.items():
        aims = below(MOST_MEMORY, found, f"{MOST_MEMORY:,}") if way == MESH else {}
        ready = below(LONGEST_START, started[way], str(LONGEST_START)) if way == MESH else {}
        section.add(
            Figure(f"{way}: ready after", started[way], "s", **ready),
            Figure("  memory in all once ready (PSS)", idle[way], "MiB"),
            Figure("  memory in all after that load", found, "MiB", **aims),
        )
    section.add(
        Figure(f"memory of a sidecar, of {len(sidecars)} (PSS)", median(sidecars), "MiB"),
        Figure("  the largest", max(sidecars), "MiB"),
    )
