"""Measures an adopted application behind the gateway beside the same application under uvicorn alone, in turns.

The application is bare ASGI (`adopted_app.py`), so that everything beside an answer is the server's, or the hop's. It
runs on one core, with the load generator; the system with its gateway, one process, has the other core.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from bench.figures import Figure, Section, median, progress
from bench.gateway import Contender, Round, cores, cpu_of, started
from bench.load import Load, load
from bench.system import SOUK, free_port, running

_WARMING = 2.0
_ALONE, _HOP = "the application under uvicorn alone", "adopted, behind the gateway"
_APPLICATION = "bench.adopted_app:app"


@dataclass(frozen=True, slots=True)
class HopRound:
    """A round, and the CPU that the application's own process used, in microseconds a request."""

    whole: Round
    application: float


@dataclass(frozen=True, slots=True)
class AdoptedContender:
    """What is measured, and the process that the application runs in."""

    one: Contender
    application: psutil.Process


def measure(folder: Path, *, seconds: float, rounds: int) -> Section:
    """Measures both in turns."""
    section = Section("adopted")
    with ExitStack() as stack:
        field = [
            stack.enter_context(_alone(folder, seconds)),
            stack.enter_context(_adopted(folder, seconds)),
        ]
        for each in field:
            progress(f"adopted: warming up: {each.one.name}")
            load(replace(each.one.load, seconds=_WARMING))
        measured = {each.one.name: list[HopRound]() for each in field}
        for number in range(rounds):
            progress(f"adopted: round {number + 1} of {rounds}")
            for each in field:
                measured[each.one.name].append(_round(each))
    section.details = {name: [asdict(one) for one in found] for name, found in measured.items()}
    _report(section, measured[_ALONE], measured[_HOP])
    return section


def _round(each: AdoptedContender) -> HopRound:
    gateway, application = cpu_of(each.one.process), cpu_of(each.application)
    sent = load(each.one.load)
    gateway, application = cpu_of(each.one.process) - gateway, cpu_of(each.application) - application
    whole = Round(sent.per_second, gateway / sent.answers * 1e6, sent.p99, sent.cpu)
    return HopRound(whole, application / sent.answers * 1e6)


def _report(section: Section, alone: list[HopRound], hop: list[HopRound]) -> None:
    def ratio(of: str) -> float:
        pairs = zip(hop, alone, strict=True)
        return median(getattr(one.whole, of) / getattr(other.whole, of) for one, other in pairs)

    own = median(one.application / other.application for one, other in zip(hop, alone, strict=True))
    section.add(
        Figure(_HOP, median(one.whole.rate for one in hop), "requests/s", _ALONE, ratio("rate")),
        Figure(f"  {_ALONE}", median(one.whole.rate for one in alone), "requests/s"),
        Figure("  p99 behind the gateway", median(one.whole.p99 for one in hop), "ms", _ALONE, ratio("p99")),
        Figure("  CPU of the application", median(one.application for one in hop), "us a request", _ALONE, own),
        Figure("  CPU of the gateway", median(one.whole.cpu for one in hop), "us a request"),
    )


def _load(port: int, path: str, seconds: float) -> Load:
    return Load(port=port, method="GET", path=path, clients=32, seconds=seconds, core=cores()[1])


@contextmanager
def _alone(folder: Path, seconds: float) -> Iterator[AdoptedContender]:
    command = ("python", "-m", "bench.adopted_app")
    with started((SOUK[0], *command[1:]), cores()[1], folder / "adopted.log") as (process, port):
        known = psutil.Process(process.pid)
        yield AdoptedContender(Contender(_ALONE, known, _load(int(port), "/", seconds)), known)


@contextmanager
def _adopted(folder: Path, seconds: float) -> Iterator[AdoptedContender]:
    metrics = free_port()
    command = ("adopt", _APPLICATION, "--name", "bench", "--metrics-port", str(metrics), "--json")
    gateway = ("taskset", "-c", str(cores()[0]), *SOUK)
    with (
        running(folder / "adopting", gateway) as system,
        started((*SOUK, *command, "--data", str(system.data)), cores()[1], folder / "adopted.log") as (process, _),
    ):
        yield AdoptedContender(
            Contender(_HOP, system.process, _load(system.port, "/bench", seconds)), psutil.Process(process.pid)
        )
