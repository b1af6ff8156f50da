"""Sagas of three steps, and sagas that wait for a message, beside DBOS's workflows that do the same, on the same
PostgreSQL, in turns, each in a process.

DBOS is brought once into an environment of its own, which git ignores; it is no dependency of ours. Every step's result
is recorded before the next one begins, by both; no step does anything.
"""

import asyncio
import json
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

import asyncpg

from bench.figures import Figure, Section, at_least, median, progress
from bench.npm import CACHE
from souk.backing.postgres.binaries import find_binaries
from souk.testing.postgres import TemporaryPostgres

CLIENTS = 16
DBOS = "dbos==3.4.0"
_NAME = DBOS.replace("==", " ")
Round = dict[str, float]
Of = Callable[[Round], float]
_HERE = Path(__file__).parent
_PATIENCE = 180.0
_COUNTS = """
    SELECT
        (SELECT coalesce(sum(fsyncs), 0) FROM pg_stat_io WHERE object = 'wal' AND backend_type = 'client backend')
        AS fsyncs,
        (SELECT sum(xact_commit) FROM pg_stat_database WHERE datname LIKE 'test%') AS commits
"""


def measure(*, seconds: float, rounds: int, waiting: int) -> list[Section]:
    """Measures both, in turns; `waiting` is how many wait at once."""
    section, waits = Section("sagas"), Section("sagas that wait")
    binaries = find_binaries()
    if binaries is None:
        raise LookupError("no PostgreSQL is installed")
    peer = _bring()
    server = TemporaryPostgres(binaries, fsync="on", full_page_writes="on", max_connections="100")
    ours: list[Round] = []
    theirs: list[Round] = []
    our_waits: list[Round] = []
    their_waits: list[Round] = []
    try:
        server.start()
        own, other = (asyncio.run(server.create_database()) for _ in range(2))
        for number in range(rounds):
            progress(f"sagas: round {number + 1} of {rounds}")
            arguments = (str(CLIENTS), str(seconds))
            ours.append(_run(server, (sys.executable, "-m", "bench.saga_flow", own, *arguments)))
            if peer is not None:
                theirs.append(_run(server, (str(peer), str(_HERE / "dbos" / "flow.py"), other, *arguments)))
            arguments = (str(CLIENTS), str(waiting))
            own, other = (asyncio.run(server.create_database()) for _ in range(2))
            our_waits.append(_run(server, (sys.executable, "-m", "bench.waiting_flow", own, *arguments)))
            if peer is not None:
                command = (str(peer), str(_HERE / "dbos" / "waiting.py"), other, *arguments)
                their_waits.append(_run(server, command))
    finally:
        server.remove()
    _report(section, ours, theirs)
    _report_waits(waits, our_waits, their_waits)
    return [section, waits]


def _report(section: Section, ours: Sequence[Round], theirs: Sequence[Round]) -> None:
    section.details = {"souk": list(ours), "dbos": list(theirs)}
    rate, cpu = median(map(_rate, ours)), median(map(_cpu, ours))
    if not theirs:
        section.add(Figure("sagas of three steps", rate, "sagas/s"), Figure("  CPU of the process", cpu, "ms a saga"))
        section.notes.append(f"sagas: {DBOS} could not be brought, so nothing stands beside them")
        return
    pairs = list(zip(ours, theirs, strict=True))
    faster = median(_rate(one) / _rate(two) for one, two in pairs)
    section.add(
        Figure("sagas of three steps", rate, "sagas/s", _NAME, faster, **at_least(5.0, faster, "5 times")),
        _beside("  CPU of the process", "ms a saga", _cpu, pairs),
        _beside("  CPU of PostgreSQL", "ms a saga", _postgres, pairs),
        _beside("  fsyncs of PostgreSQL's log", "a saga", _each("fsyncs"), pairs),
        _beside("  commits", "a saga", _each("commits"), pairs),
        Figure(f"{_NAME}, workflows of three steps", median(map(_rate, theirs)), "workflows/s"),
        Figure("  CPU of the process", median(map(_cpu, theirs)), "ms a workflow"),
        Figure("  CPU of PostgreSQL", median(map(_postgres, theirs)), "ms a workflow"),
        Figure("  fsyncs of PostgreSQL's log", median(map(_each("fsyncs"), theirs)), "a workflow"),
        Figure("  commits", median(map(_each("commits"), theirs)), "a workflow"),
    )


def _report_waits(section: Section, ours: Sequence[Round], theirs: Sequence[Round]) -> None:
    section.details = {"souk": list(ours), "dbos": list(theirs)}
    measures: list[tuple[str, str, Of]] = [
        ("memory of the process", "KB a saga that waits", lambda one: max(_each("memory")(one), 1.0) / 1_024),
        ("from the start to the wait", "ms a saga", lambda one: _each("started")(one) * 1_000),
        ("from the message to the end", "ms a saga", lambda one: _each("ended")(one) * 1_000),
    ]
    if not theirs:
        section.add(*(Figure(what, median(map(of, ours)), unit) for what, unit, of in measures))
        return
    pairs = list(zip(ours, theirs, strict=True))
    section.add(*(_beside(what, unit, of, pairs) for what, unit, of in measures))
    section.add(*(Figure(f"{_NAME}, {what}", median(map(of, theirs)), unit) for what, unit, of in measures))


def _beside(what: str, unit: str, of: Of, pairs: Sequence[tuple[Round, Round]]) -> Figure:
    ratio = median(of(one) / of(two) for one, two in pairs)
    return Figure(what, median(of(one) for one, _ in pairs), unit, _NAME, ratio)


def _each(count: str) -> Of:
    return lambda one: one[count] / one["done"]


def _rate(one: Round) -> float:
    return one["done"] / one["seconds"]


def _cpu(one: Round) -> float:
    return one["cpu"] / one["done"] * 1_000


def _postgres(one: Round) -> float:
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


def _run(server: TemporaryPostgres, command: Sequence[str]) -> Round:
    cpu, counts = server.cpu, asyncio.run(_counts(server.url()))
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_PATIENCE, cwd=_HERE.parent)
    if done.returncode != 0:
        raise RuntimeError(f"{command[-4]} failed: {done.stderr[-2_000:]}")
    result: Round = json.loads(done.stdout.strip().splitlines()[-1])
    used, after = server.cpu - cpu, asyncio.run(_counts(server.url()))
    return {**result, "postgres": used, **{name: after[name] - counts[name] for name in counts}}


async def _counts(url: str) -> Round:
    """Returns the fsyncs and the commits so far, once every session has ended: only then it has reported its own."""
    connection = await asyncpg.connect(url)
    try:
        while await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'test%'"):
            await asyncio.sleep(0.05)
        return {name: float(count) for name, count in (await connection.fetchrow(_COUNTS)).items()}
    finally:
        await connection.close()
