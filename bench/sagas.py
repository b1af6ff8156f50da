"""Sagas of three steps beside DBOS's workflows of three steps, on the same PostgreSQL, in turns, each in a process.

DBOS is brought once into an environment of its own, which git ignores; it is no dependency of ours. Every step's result
is recorded before the next one begins, by both; no step does anything.
"""

import asyncio
import json
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from bench.figures import Figure, Section, at_least, median, progress
from bench.npm import CACHE
from souk.backing.postgres.binaries import find_binaries
from souk.testing.postgres import TemporaryPostgres

CLIENTS = 16
DBOS = "dbos==3.4.0"
_HERE = Path(__file__).parent
_PATIENCE = 180.0


def measure(*, seconds: float, rounds: int) -> list[Section]:
    """Measures both, in turns."""
    section = Section("sagas")
    binaries = find_binaries()
    if binaries is None:
        raise LookupError("no PostgreSQL is installed")
    peer = _bring()
    server = TemporaryPostgres(binaries, fsync="on", full_page_writes="on", max_connections="100")
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    try:
        server.start()
        own, other = (asyncio.run(server.create_database()) for _ in range(2))
        for number in range(rounds):
            progress(f"sagas: round {number + 1} of {rounds}")
            arguments = (str(CLIENTS), str(seconds))
            ours.append(_run(server, (sys.executable, "-m", "bench.saga_flow", own, *arguments)))
            if peer is not None:
                theirs.append(_run(server, (str(peer), str(_HERE / "dbos" / "flow.py"), other, *arguments)))
    finally:
        server.remove()
    _report(section, ours, theirs)
    return [section]


def _report(section: Section, ours: Sequence[dict[str, float]], theirs: Sequence[dict[str, float]]) -> None:
    section.details = {"souk": list(ours), "dbos": list(theirs)}
    rate, cpu = median(map(_rate, ours)), median(map(_cpu, ours))
    if not theirs:
        section.add(Figure("sagas of three steps", rate, "sagas/s"), Figure("  CPU of the process", cpu, "ms a saga"))
        section.notes.append(f"sagas: {DBOS} could not be brought, so nothing stands beside them")
        return
    pairs = list(zip(ours, theirs, strict=True))
    faster = median(_rate(one) / _rate(two) for one, two in pairs)
    name = DBOS.replace("==", " ")
    section.add(
        Figure("sagas of three steps", rate, "sagas/s", name, faster, **at_least(5.0, faster, "5 times")),
        Figure("  CPU of the process", cpu, "ms a saga", name, median(_cpu(one) / _cpu(two) for one, two in pairs)),
        Figure(
            "  CPU of PostgreSQL",
            median(map(_postgres, ours)),
            "ms a saga",
            name,
            median(_postgres(one) / _postgres(two) for one, two in pairs),
        ),
        Figure(f"{name}, workflows of three steps", median(map(_rate, theirs)), "workflows/s"),
        Figure("  CPU of the process", median(map(_cpu, theirs)), "ms a workflow"),
        Figure("  CPU of PostgreSQL", median(map(_postgres, theirs)), "ms a workflow"),
    )


def _rate(one: dict[str, float]) -> float:
    return one["done"] / one["seconds"]


def _cpu(one: dict[str, float]) -> float:
    return one["cpu"] / one["done"] * 1_000


def _postgres(one: dict[str, float]) -> float:
    return one["postgres"] / one["done"] * 1_000


def _bring() -> Path | None:
    """Installs the peer, once; None if that is not possible."""
    folder = CACHE / "dbos"
    python = folder / "bin" / "python"
    if (folder / "ready").exists():
        return python
    progress(f"pip brings {DBOS}")
    try:
        venv.create(folder, with_pip=True, clear=True)
        command = (str(python), "-m", "pip", "install", "--quiet", DBOS)
        done = subprocess.run(command, check=False, capture_output=True, timeout=_PATIENCE)
    except (OSError, subprocess.SubprocessError):
        return None
    if done.returncode != 0:
        return None
    (folder / "ready").touch()
    return python


def _run(server: TemporaryPostgres, command: Sequence[str]) -> dict[str, float]:
    before = server.cpu
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_PATIENCE, cwd=_HERE.parent)
    if done.returncode != 0:
        raise RuntimeError(f"{command[-4]} failed: {done.stderr[-2_000:]}")
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return {**result, "postgres": server.cpu - before}
