"""Measures two gateway processes beside one: a fleet with a routes file, whose gateway is scaled to and fro.

The load (wrk) and the server behind (nginx) are small programs of C, since both share the two cores with the gateways.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.figures import Figure, Section, at_least, median, progress
from bench.fleet_system import FleetSystem, running_fleet
from bench.gateway import cpu_of
from bench.proxying.contenders import PATH, answer
from bench.proxying.engines import nginx_config
from bench.system import free_port

_CLIENTS = 64


@dataclass(frozen=True, slots=True)
class _Turn:
    """Requests a second, and microseconds of CPU that a request took of the gateways, and of load and server behind."""

    rate: float
    gateways: float
    others: float


def measure(folder: Path, *, seconds: float, rounds: int) -> Section:
    """Measures one and two gateways by turns."""
    section = Section("workers")
    missing = [name for name in ("wrk", "nginx") if shutil.which(name) is None]
    if missing:
        section.notes.append(f"two workers are not measured: {' and '.join(missing)} must be installed")
        return section
    with _system(folder) as (system, behind):
        turns: dict[int, list[_Turn]] = {1: [], 2: []}
        for number in range(rounds):
            for workers, found in turns.items():
                progress(f"workers: round {number + 1} of {rounds}, {workers}")
                system.souk("scale", f"gateway={workers}")
                _wrk(system.port, 1.0)
                found.append(_turn(system, behind, seconds))
    _report(section, turns[1], turns[2])
    return section


@contextmanager
def _system(folder: Path) -> Iterator[tuple[FleetSystem, psutil.Process]]:
    """Starts nginx and a fleet before it; gives the fleet and nginx's process."""
    port, routes = free_port(), folder / "workers.yaml"
    config = nginx_config(folder, "behind", port, f"default_type application/json; return 200 '{answer()}';")
    routes.write_text(f"routes:\n  {PATH}: http://127.0.0.1:{port}\n")
    nginx = subprocess.Popen(("nginx", "-c", str(config)))
    try:
        with running_fleet(folder / "workers", "--routes", str(routes)) as system:
            yield system, psutil.Process(nginx.pid)
    finally:
        nginx.terminate()
        nginx.wait()


def _turn(system: FleetSystem, behind: psutil.Process, seconds: float) -> _Turn:
    before, others = system.usage()["gateway"], cpu_of(behind)
    rate, answers, own = _wrk(system.port, seconds)
    used, more = system.usage()["gateway"] - before, cpu_of(behind) - others
    return _Turn(rate, used / answers * 1e6, (more + own) / answers * 1e6)


def _wrk(port: int, seconds: float) -> tuple[float, int, float]:
    """Runs wrk; returns requests a second, how many there were, and the seconds of CPU that it used."""
    command = ("wrk", "-t1", f"-c{_CLIENTS}", f"-d{max(1, round(seconds))}s", f"http://127.0.0.1:{port}{PATH}")
    timed = ("bash", "-c", 'TIMEFORMAT="cpu %U %S"; time "$@"', "bash", *command)
    done = subprocess.run(timed, capture_output=True, text=True, check=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"not every request was answered well: {done.stdout.strip()}")
    rate, answers = _number(r"Requests/sec:\s+([\d.]+)", done.stdout), _number(r"(\d+) requests in", done.stdout)
    user, system = _number(r"cpu ([\d.]+)", done.stderr), _number(r"cpu [\d.]+ ([\d.]+)", done.stderr)
    return rate, int(answers), user + system


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"wrk printed something else: {text.strip()}")
    return float(found[1])


def _report(section: Section, one: Sequence[_Turn], two: Sequence[_Turn]) -> None:
    ratio = median(b.rate / a.rate for a, b in zip(one, two, strict=True))
    used, others = median(turn.gateways for turn in two), median(turn.others for turn in two)
    # One worker fills a core; two share two cores with the load and the server behind.
    most = 2 * median(turn.gateways for turn in one) / (used + others)
    section.add(
        Figure("one gateway", median(turn.rate for turn in one), "requests/s"),
        Figure(
            "two gateways", median(turn.rate for turn in two), "requests/s", "one", ratio, **at_least(1.7, ratio, "1.7")
        ),
        Figure("  CPU of the gateways", used, "us a request", "one", used / median(turn.gateways for turn in one)),
        Figure("  CPU of load and server behind", others, "us a request"),
        Figure("  what the two cores allow", most, "times one"),
    )
