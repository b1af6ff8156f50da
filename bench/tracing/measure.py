"""Measures what traces cost: systems that differ in nothing else run at once, and take orders in short turns.

Other work of the machine slows all of them. The CPU of a turn is counted until the last mail is written and the last
span is sent. What is exported goes to a real receiver of OTLP, in a process of its own.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.api_client import Client
from bench.buying import Buying, buying, settle
from bench.figures import Figure, Section, below, median, progress
from bench.load import load
from bench.system import SOUK, System, free_port, process, running
from souk.kernel.errors import SoukError

BEFORE = "BENCH_BEFORE"
"""The environment variable with the path of a checkout of older code, to be measured beside this one."""
OFF, ONE, ALL, CONSOLE, OLDER = "no traces", "1 of 100", "all", "for the console alone", "older code"
_AIMS = {ONE: 1.03, CONSOLE: 1.05}
_TURNS = 4
"""Turns for each round of other parts: a short one sees less of what else the machine does."""
_DELAY = 0.4
"""Seconds between two exports."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Orders a second; for each of them the CPU of the system in ms, and the spans that have arrived."""

    rate: float
    cpu: float
    spans: float


def measure(folder: Path, *, seconds: float, rounds: int) -> Section:
    """Starts a system for each way, and measures their orders in turns."""
    with ExitStack() as stack:
        receiver = stack.enter_context(_receiver(folder))
        systems = {way: stack.enter_context(_system(folder, way, receiver)) for way in _ways()}
        orders = {way: buying(system) for way, system in systems.items()}
        for way, system in systems.items():
            progress(f"tracing: warming up, {way}")
            load(orders[way](seconds=seconds / 2))
            settle(system)
        turns: dict[str, list[Turn]] = {way: [] for way in systems}
        for number in range(rounds * _TURNS):
            progress(f"tracing: turn {number + 1} of {rounds * _TURNS}")
            for way in list(systems)[:: -1 if number % 2 else 1]:
                turns[way].append(_turn(systems[way], orders[way], seconds / _TURNS, receiver))
    section = Section("tracing", details={way: [asdict(one) for one in found] for way, found in turns.items()})
    _report(section, turns)
    return section


def _turn(system: System, order: Buying, seconds: float, receiver: int) -> Turn:
    cpu, spans = system.cpu, _count(receiver)
    sent = load(order(seconds=seconds))
    settle(system)
    time.sleep(_DELAY)
    cpu, spans = system.cpu - cpu, _count(receiver) - spans
    return Turn(sent.per_second, cpu / sent.answers * 1000, spans / sent.answers)


def _ways() -> Sequence[str]:
    return (OFF, ONE, ALL, CONSOLE, *((OLDER,) if os.environ.get(BEFORE) else ()))


@contextmanager
def _system(folder: Path, way: str, receiver: int) -> Iterator[System]:
    data = folder / f"tracing-{list(_ways()).index(way)}"
    if way == OLDER:
        # Run where the checkout is, so that its packages come before those of this one.
        older = Path(os.environ[BEFORE])
        environment: Mapping[str, str] = {"PYTHONPATH": f"{older}{os.pathsep}{older / 'contracts' / 'gen'}"}
        command: Sequence[str] = (sys.executable, "-P", "-m", "souk.cli")
    else:
        environment, command = _environment(way, receiver), SOUK
    with running(data, command, environment=environment) as system:
        yield system


def _environment(way: str, receiver: int) -> Mapping[str, str]:
    if way == CONSOLE:
        return {}
    off = {"SOUK_CONSOLE": "false"}
    if way == OFF:
        return off
    exported = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver}",
        "OTEL_BSP_SCHEDULE_DELAY": str(round(_DELAY * 1000)),
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.01" if way == ONE else "1",
    }
    return off | exported


@contextmanager
def _receiver(folder: Path) -> Iterator[int]:
    """Runs the receiver; gives its port."""
    port = free_port()
    with process((sys.executable, "-m", "bench.tracing.receiver", str(port)), folder / "receiver.log"):
        until = time.monotonic() + 60
        while not _answers(port):
            if time.monotonic() > until:
                raise RuntimeError("the receiver of spans did not start")
            time.sleep(0.05)
        yield port


def _answers(port: int) -> bool:
    try:
        _count(port)
    except SoukError:
        return False
    return True


def _count(port: int) -> int:
    client = Client(f"http://127.0.0.1:{port}")
    try:
        return int(client.call("GET", "/").body["spans"])
    finally:
        client.close()


def _report(section: Section, turns: Mapping[str, Sequence[Turn]]) -> None:
    off = turns[OFF]
    section.add(
        Figure("orders without traces, 32 clients", median(one.rate for one in off), "orders/s"),
        Figure("  CPU of the system", median(one.cpu for one in off), "ms an order"),
    )
    if OLDER in turns:
        rate, cpu = _ratios(off, turns[OLDER])
        section.add(
            Figure(f"  {OLDER}", median(one.rate for one in turns[OLDER]), "orders/s", "beside it", rate),
            Figure(
                "    CPU", median(one.cpu for one in turns[OLDER]), "ms an order", "beside it", cpu, **_aim(1.01, cpu)
            ),
        )
    for way in (ONE, ALL, CONSOLE):
        found = turns[way]
        rate, cpu = _ratios(found, off)
        aim = _aim(_AIMS[way], cpu) if way in _AIMS else {}
        section.add(
            Figure(f"traces: {way}", median(one.rate for one in found), "orders/s", OFF, rate),
            Figure("  CPU of the system", median(one.cpu for one in found), "ms an order", OFF, cpu, **aim),
        )
        if way is not CONSOLE:
            section.add(Figure("  spans that arrived", sum(one.spans for one in found) / len(found), "an order"))


def _ratios(these: Sequence[Turn], those: Sequence[Turn]) -> tuple[float, float]:
    """Gives the medians of each turn's ratios: of the rates, and of the CPU."""
    pairs = list(zip(these, those, strict=True))
    return median(one.rate / other.rate for one, other in pairs), median(one.cpu / other.cpu for one, other in pairs)


def _aim(aim: float, value: float) -> dict[str, Any]:
    return below(aim, value, f"{aim:.2f}")
