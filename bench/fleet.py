"""Measures orders of a fleet, in turns with the monolith's and with the fleet's own limit."""

from dataclasses import dataclass
from pathlib import Path

from bench.buying import Buying, buying, settle
from bench.figures import Figure, Section, at_least, below, median, progress
from bench.fleet_limit import FleetLimit, Play
from bench.fleet_system import FleetSystem, running_fleet, spent
from bench.load import Sent, load
from bench.system import System, running

LEAST_ORDERS = 250
MOST_MEMORY = 900


@dataclass(frozen=True, slots=True)
class Round:
    """The results of one round; `spent` is CPU in ms for each order, by kind of process."""

    monolith: Sent
    monolith_cpu: float
    fleet: Sent
    spent: dict[str, float]
    limit: Play


def measure(folder: Path, *, seconds: float, rounds: int, recorded: int) -> Section:
    """Starts a monolith and a fleet, and measures orders of both in turns."""
    limit = FleetLimit.recorded(folder, recorded)
    with running(folder / "one") as one, running_fleet(folder / "many") as many:
        idle = many.memory
        orders = buying(one), buying(many)
        progress("fleet: warming up")
        for order in orders:
            load(order(seconds=seconds / 2))
        found = [_round(f"{number + 1} of {rounds}", one, many, orders, seconds, limit) for number in range(rounds)]
        loaded = many.memory
    section = Section("fleet", details={"rounds": [_details(each) for each in found], "per order": limit.counts()})
    _report(section, found)
    section.add(
        Figure("fleet, ready after", many.started_in, "s", **below(15, many.started_in, "15")),
        Figure("  memory once ready, PostgreSQL included", idle, "MiB", **below(MOST_MEMORY, idle, "900")),
        Figure("  memory after that load", loaded, "MiB", **below(MOST_MEMORY, loaded, "900")),
    )
    return section


def _round(
    name: str, one: System, many: FleetSystem, orders: tuple[Buying, Buying], seconds: float, limit: FleetLimit
) -> Round:
    progress(f"fleet: monolith, round {name}")
    cpu = one.cpu
    monolith = load(orders[0](seconds=seconds))
    cpu = (one.cpu - cpu) * 1000 / monolith.answers
    settle(one)
    progress(f"fleet: fleet, round {name}")
    before = many.usage()
    fleet = load(orders[1](seconds=seconds))
    used = spent(before, many.usage(), fleet.answers)
    used["load generator"] = fleet.cpu * fleet.seconds * 1000 / fleet.answers
    settle(many)
    progress(f"fleet: its SQL and its hops alone, round {name}")
    return Round(monolith, cpu, fleet, used, limit.play())


def _report(section: Section, found: list[Round]) -> None:
    rate = median(each.fleet.per_second for each in found)
    beside = median(each.fleet.per_second / each.monolith.per_second for each in found)
    share = median(each.fleet.per_second / each.limit.per_second for each in found)
    limit = median(each.limit.per_second for each in found)
    section.add(
        Figure(
            "fleet: orders, 32 clients",
            rate,
            "orders/s",
            "the monolith, same round",
            beside,
            **at_least(LEAST_ORDERS, rate, "250"),
        ),
        Figure("  half of them answered within", median(each.fleet.p50 for each in found), "ms"),
        Figure("  99 of 100 answered within", median(each.fleet.p99 for each in found), "ms"),
        Figure("  CPU of all processes", median(sum(each.spent.values()) for each in found), "ms an order"),
    )
    for kind in found[-1].spent:
        section.add(Figure(f"    {kind}", median(each.spent.get(kind, 0.0) for each in found), "ms an order"))
    section.add(
        Figure("monolith: orders, 32 clients", median(each.monolith.per_second for each in found), "orders/s"),
        Figure("  half of them answered within", median(each.monolith.p50 for each in found), "ms"),
        Figure("  99 of 100 answered within", median(each.monolith.p99 for each in found), "ms"),
        Figure("  CPU", median(each.monolith_cpu for each in found), "ms an order"),
        Figure(
            "limit: bare hops and SQL of the fleet's orders",
            limit,
            "orders/s",
            "the fleet, same round",
            share,
            **at_least(0.5, share, "half"),
        ),
        Figure("  CPU of the driver", median(each.limit.sql for each in found), "ms an order"),
        Figure("  CPU of both ends of the hops", median(each.limit.hops for each in found), "ms an order"),
    )


def _details(one: Round) -> dict[str, object]:
    return {
        "monolith orders/s": one.monolith.per_second,
        "fleet orders/s": one.fleet.per_second,
        "fleet CPU": one.spent,
        "limit orders/s": one.limit.per_second,
    }
