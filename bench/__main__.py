"""`make bench`: measures Souk on this machine in some forty minutes, and prints one table.

Every figure is compared with its peer or its limit, measured in the same run: compare ratios, not
figures of other machines. Data is on the disk of the checkout, in `var/`.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import (
    adopted,
    breaker,
    bus,
    cached_reads,
    calls,
    fleet,
    gateway,
    incidents,
    limits,
    orders,
    rebuild,
    sagas,
    search,
    starting,
    stopped_mails,
    two_phase_commit,
)
from bench.events.measure import measure as measure_events
from bench.figures import Section, as_json, progress, table
from bench.mesh.measure import measure as measure_mesh
from bench.mesh.measure import measure_control_plane
from bench.proxying.measure import measure as measure_proxying
from bench.proxying.workers import measure as measure_workers
from bench.tracing.measure import measure as measure_tracing

ROOT = Path(__file__).parent.parent
NAMES = (
    "orders",
    "gateway",
    "limits",
    "proxying",
    "adopted",
    "cached-reads",
    "workers",
    "start",
    "calls",
    "breaker",
    "fleet",
    "incidents",
    "events",
    "rebuild",
    "search",
    "sagas",
    "two-phase-commit",
    "bus",
    "stopped-mails",
    "tracing",
    "mesh",
    "control-plane",
)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: seconds of a round, rounds, and numbers of orders, calls and buyers."""

    seconds: float = 6.0
    rounds: int = 3
    recorded: int = 640
    calls: int = 4_000
    breaker_calls: int = 50_000
    buyers: int = 1_000
    events: int = 9_000
    rebuilt: int = 100_000
    away: int = 500
    products: int = 20_000
    limited: float = 60.0
    waiting: int = 2_000
    sidecars: int = 1_000


QUICK = Effort(
    seconds=1.5,
    rounds=1,
    recorded=128,
    calls=500,
    breaker_calls=2_000,
    buyers=200,
    events=3_000,
    rebuilt=5_000,
    away=60,
    products=2_000,
    limited=10.0,
    waiting=200,
    sidecars=80,
)


def _parts(folder: Path, effort: Effort, broker: str) -> dict[str, Callable[[], list[Section]]]:
    return {
        "orders": lambda: [
            orders.measure(folder, seconds=effort.seconds, rounds=effort.rounds, recorded=effort.recorded)
        ],
        "gateway": lambda: [gateway.measure(folder, seconds=effort.seconds / 2, rounds=effort.rounds)],
        "limits": lambda: [limits.measure(folder, seconds=effort.limited, rounds=effort.rounds)],
        "proxying": lambda: [measure_proxying(folder, seconds=effort.seconds / 2, rounds=effort.rounds)],
        "adopted": lambda: [adopted.measure(folder, seconds=effort.seconds / 2, rounds=effort.rounds)],
        "cached-reads": lambda: [cached_reads.measure(folder, seconds=effort.seconds / 2, rounds=effort.rounds)],
        "workers": lambda: [measure_workers(folder, seconds=effort.seconds, rounds=effort.rounds)],
        "start": lambda: [starting.measure(folder, runs=effort.rounds)],
        "calls": lambda: [calls.measure(calls=effort.calls)],
        "breaker": lambda: [breaker.measure(calls=effort.breaker_calls)],
        "fleet": lambda: [
            fleet.measure(folder, seconds=effort.seconds, rounds=effort.rounds, recorded=effort.recorded // 2)
        ],
        "events": lambda: measure_events(
            folder, seconds=effort.seconds / 2, rounds=effort.rounds, events=effort.events, only=broker
        ),
        "rebuild": lambda: [rebuild.measure(folder, orders=effort.rebuilt, seconds=effort.seconds)],
        "search": lambda: [
            search.measure(folder, products=effort.products, seconds=effort.seconds, rounds=effort.rounds)
        ],
        "sagas": lambda: sagas.measure(seconds=effort.seconds, rounds=effort.rounds, waiting=effort.waiting),
        "two-phase-commit": lambda: two_phase_commit.measure(folder, seconds=effort.seconds, rounds=effort.rounds),
        "bus": lambda: [bus.measure(folder, seconds=effort.seconds, rounds=effort.rounds)],
        "stopped-mails": lambda: [stopped_mails.measure(folder, orders=effort.away // 2, rounds=2)],
        "tracing": lambda: [measure_tracing(folder, seconds=effort.seconds, rounds=effort.rounds)],
        "mesh": lambda: measure_mesh(folder, seconds=effort.seconds, rounds=effort.rounds, calls=effort.calls // 2),
        "control-plane": lambda: [measure_control_plane(folder, sidecars=effort.sidecars)],
        "incidents": lambda: [incidents.measure(folder, seconds=effort.seconds, buyers=effort.buyers)],
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures Souk on this machine.")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; figures are rough")
    parser.add_argument("--only", choices=NAMES, action="append", help="measures this part; may be given again")
    parser.add_argument(
        "--broker", default="", help="of the events, measures this broker alone, such as kafka, or calls"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes every figure and its details there, too")
    return parser.parse_args()


def main() -> int:
    """Runs the benchmarks and prints the table; returns the exit status."""
    arguments = _arguments()
    began = time.monotonic()
    (ROOT / "var").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / "var") as folder:
        parts = _parts(Path(folder), QUICK if arguments.quick else Effort(), arguments.broker)
        sections = [section for name in NAMES if name in (arguments.only or NAMES) for section in parts[name]()]
    progress(f"done in {time.monotonic() - began:.0f} s")
    print(table(sections))
    print()
    for line in (*(note for section in sections for note in section.notes), _machine()):
        print(line)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": _machine(), "sections": as_json(sections)}, indent=2) + "\n")
    return 0


def _machine() -> str:
    cores = len(gateway.all_cores())
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {cores} cores"


if __name__ == "__main__":
    sys.exit(main())
