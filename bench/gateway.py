"""Measures the gateway beside express with http-proxy-middleware: one core each, the same load, in turns.

Both get the request of `POST /api/v1/orders`, with a token. Express passes it on to a plain server, which answers with
an order; that server and the load generator use the other core. The gateway checks the token, parses the JSON strictly,
makes the message, calls a servicer in its own process through a channel with all layers, which answers with the same
order, and writes JSON, log and metrics.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import orjson
import psutil
from google.protobuf.json_format import MessageToDict

from bench.buying import CLIENTS, order_body
from bench.figures import Figure, Section, at_least, median, progress
from bench.gateway_stub import order
from bench.load import Load, load
from bench.npm import CACHE, bring
from bench.system import free_port

EXPRESS = CACHE / "express"
PACKAGES = "express 5 + http-proxy-middleware"
_WARMING = 2.0  # seconds; node's compiler needs them
_OURS, _THEIRS = "gateway: identity, JSON to message and back", f"{PACKAGES}, plain proxying"


@dataclass(frozen=True, slots=True)
class Contender:
    """A server that is measured, and the load that it gets."""

    name: str
    process: psutil.Process
    load: Load


@dataclass(frozen=True, slots=True)
class Round:
    """Requests per second, CPU in microseconds for each, p99 in milliseconds, cores that the load generator used."""

    rate: float
    cpu: float
    p99: float
    load_cpu: float


def measure(folder: Path, *, seconds: float, rounds: int) -> Section:
    """Measures both in turns. Without npm only the gateway is measured."""
    section = Section("gateway")
    with ExitStack() as stack:
        contenders = [stack.enter_context(_gateway(folder, seconds))]
        if _installed():
            contenders.append(stack.enter_context(_express(folder, seconds)))
        else:
            section.notes.append("express is not measured: it needs node and npm")
        for one in contenders:
            progress("gateway: warming up")
            load(replace(one.load, seconds=_WARMING))
        measured = {one.name: list[Round]() for one in contenders}
        for number in range(rounds):
            progress(f"gateway: round {number + 1} of {rounds}")
            for one in contenders:
                measured[one.name].append(round_of(one))
    section.details = {name: [asdict(one) for one in found] for name, found in measured.items()}
    _report(section, measured)
    return section


def round_of(one: Contender) -> Round:
    """Measures a contender once."""
    cpu = cpu_of(one.process)
    sent = load(one.load)
    return Round(sent.per_second, (cpu_of(one.process) - cpu) / sent.answers * 1e6, sent.p99, sent.cpu)


def _report(section: Section, rounds: dict[str, list[Round]]) -> None:
    ours, theirs = rounds[_OURS], rounds.get(_THEIRS)
    if theirs is None:
        section.add(_rate(_OURS, ours))
        return
    # The median of each turn's ratio, because other programs use the machine unevenly.
    ratio = median(one.rate / other.rate for one, other in zip(ours, theirs, strict=True))
    cpu_ratio = median(one.cpu / other.cpu for one, other in zip(ours, theirs, strict=True))
    section.add(
        replace(_rate(_OURS, ours), against=PACKAGES, ratio=ratio, **at_least(1.0, ratio, "level")),
        _rate(f"  {_THEIRS}", theirs),
        Figure("  CPU of the gateway", median(one.cpu for one in ours), "us a request", "express", cpu_ratio),
        Figure("  CPU of express", median(one.cpu for one in theirs), "us a request"),
    )


def _rate(name: str, rounds: list[Round]) -> Figure:
    return Figure(name, median(one.rate for one in rounds), "requests/s")


def all_cores() -> list[int]:
    """Gives the cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


def cores() -> tuple[int, int]:
    """Gives the core for the measured server, and the one for everything else."""
    cores = all_cores()
    return cores[0], cores[-1]


def cpu_of(process: psutil.Process) -> float:
    """Gives the seconds of CPU that a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


def load_of(port: int, seconds: float, token: str) -> Load:
    """Gives the load that every contender gets: orders, with a token."""
    headers = {"authorization": f"Bearer {token}"}
    return Load(
        port=port,
        method="POST",
        path="/api/v1/orders",
        bodies=(order_body("P-101", 1200),),
        headers=headers,
        clients=CLIENTS,
        seconds=seconds,
        expect=201,
        core=cores()[1],
    )


@contextmanager
def started(command: Sequence[str], core: int, log: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Starts a process on one core; gives it and the first line that it prints, and ends it after the block."""
    with log.open("a") as stream:
        pinned = ("taskset", "-c", str(core), *command)
        process = subprocess.Popen(pinned, stdout=subprocess.PIPE, stderr=stream, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"{command[0]} did not start: {log.read_text()[-500:]}")
        yield process, line
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextmanager
def _gateway(folder: Path, seconds: float) -> Iterator[Contender]:
    port = free_port()
    command = (sys.executable, "-m", "bench.gateway_stub", str(folder / "stub"), str(port))
    with started(command, cores()[0], folder / "gateway.log") as (process, token):
        yield Contender(_OURS, psutil.Process(process.pid), load_of(port, seconds, token))


@contextmanager
def _express(folder: Path, seconds: float) -> Iterator[Contender]:
    answer = orjson.dumps(MessageToDict(order())).decode()
    log, (mine, other) = folder / "express.log", cores()
    with (
        started(("node", str(EXPRESS / "upstream.js"), answer), other, log) as (_, upstream),
        started(("node", str(EXPRESS / "proxy.js"), upstream), mine, log) as (process, port),
    ):
        yield Contender(_THEIRS, psutil.Process(process.pid), load_of(int(port), seconds, "x" * 300))


def _installed() -> bool:
    return shutil.which("taskset") is not None and bring("express", "http-proxy-middleware") is not None
