"""A fleet that is measured: `souk up --topology fleet --demo`, with the CPU and memory of its processes."""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.system import MEBIBYTE, SOUK, System, running
from souk.admin.process_status import MESH

Usage = Mapping[str, float]
"""Seconds of CPU by kind of process."""
SIDECARS, CONTROL_PLANE = "sidecars", "control plane"
_MARKS = {
    "/mesh/sidecars/": SIDECARS,
    "bus.sock": "bus",
    "postgres": "postgres",
    "valkey": "valkey",
    "sandbox_server": "sandbox-bank",
}
"""What the command line of each kind contains; the first that fits is meant."""


@dataclass(slots=True)
class FleetSystem(System):
    """A fleet that is ready; `process` is its supervisor."""

    @property
    def memory(self) -> float:
        """Resident memory of all its processes, in MiB; shared memory is divided among them (PSS)."""
        return sum(map(_memory, self._family()))

    @property
    def cpu(self) -> float:
        """Seconds of CPU of all of its processes so far."""
        return sum(self.usage().values())

    def usage(self) -> Usage:
        """Gives the seconds of CPU so far, by kind of process."""
        found: defaultdict[str, float] = defaultdict(float)
        for one in self._family():
            try:
                times = one.cpu_times()
                found[_kind(one.cmdline())] += times.user + times.system
            except psutil.Error:
                continue
        return found

    def memory_of(self, kind: str) -> list[float]:
        """Gives the memory of each process of a kind, in MiB, as `memory` counts it."""
        return [_memory(one) for one in self._family() if _kind(_words(one)) == kind]

    def souk(self, command: str, *words: str) -> str:
        """Runs a `souk` command on the fleet's data directory; returns its output."""
        done = subprocess.run(
            (sys.executable, "-m", "souk.cli", command, "--data", str(self.data), *words),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def instances(self, service: str) -> list[dict[str, Any]]:
        """Gives the processes of a service as `souk ps` lists them."""
        return [one for one in json.loads(self.souk("ps", "--json")) if one["service"] == service]

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


@contextmanager
def running_fleet(data: Path, *options: str, environment: Mapping[str, str] | None = None) -> Iterator[FleetSystem]:
    """Starts a fleet with demo data in a directory, and stops it when the block ends."""
    # PostgreSQL does not run as root: its user must be able to pass through the folder above.
    data.parent.chmod(0o711)
    words: Sequence[str] = ("--topology", "fleet", *options)
    with running(data, SOUK, words, environment or {}) as system:
        yield FleetSystem(system.port, system.process, system.started_in, system.data)


def spent(before: Usage, after: Usage, orders: int) -> dict[str, float]:
    """Gives the milliseconds of CPU for each order between two readings, the largest first."""
    found = {kind: (seconds - before.get(kind, 0.0)) * 1000 / orders for kind, seconds in after.items()}
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def _memory(one: psutil.Process) -> float:
    """Gives the memory of a process in MiB; 0 of one that has just ended, as PostgreSQL's connections do."""
    try:
        return float(one.memory_full_info().pss) / MEBIBYTE
    except psutil.NoSuchProcess:
        return 0.0


def _words(one: psutil.Process) -> Sequence[str]:
    try:
        return one.cmdline()
    except psutil.NoSuchProcess:
        return ()


def _kind(words: Sequence[str]) -> str:
    line = " ".join(words)
    if "serve" in words:
        name = words[words.index("serve") + 1]
        return CONTROL_PLANE if name == MESH else name
    for mark, kind in _MARKS.items():
        if mark in line and "souk.cli" not in line:
            return kind
    return "supervisor"
