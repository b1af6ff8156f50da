"""Probes of what a process depends on, for its `Health`: its databases, its disk, and services in other processes.

A probe answers with what is wrong, or with "".
"""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

from souk.discovery.directory import Directory
from souk.resilience.breaker.breaker import State
from souk.runtime.calls.breaker_registry import Breakers
from souk.runtime.config.settings import DataSettings
from souk.runtime.data.database_file import path_of
from souk.runtime.service import Service
from souk.store.database import Database, Transaction
from souk.store.database_clock import DatabaseClock
from souk.store.sqlite.same_file import identity_of
from souk.telemetry.health import Probe
from souk.telemetry.logs import logger

LEAST_FREE = 16 * 1024 * 1024
"""Bytes that must be free on the disk of the data directory; with fewer, a commit may fail at any moment."""
_REFUSING = frozenset({State.OPEN, State.FORCED_OPEN})


def answers(database: Database) -> Probe:
    """Probes whether the database answers a read."""

    async def work(tx: Transaction) -> None:
        await tx.fetch_one("SELECT 1 AS one")

    async def probe() -> str:
        await database.read(work, single=True)
        return ""

    return probe


def tells_time(clock: DatabaseClock) -> Probe:
    """Probes whether the database tells its time; each probe also renews what the clock knows of it."""

    async def probe() -> str:
        await clock.ask()
        return ""

    return probe


def has_room(folder: Path, least: int = LEAST_FREE) -> Probe:
    """Probes whether the disk that holds a folder has at least `least` bytes free."""

    async def probe() -> str:
        found = await asyncio.to_thread(os.statvfs, folder)
        free = found.f_bavail * found.f_frsize
        return "" if free >= least else f"the disk is full: {free / 1e6:.0f} MB are left for {folder}"

    return probe


def watched_in(settings: DataSettings, services: Iterable[Service]) -> list[Path]:
    """Gives the paths that must stay in place: the data directory, and these services' SQLite files, if any."""
    files = [path_of(settings.directory, service.name) for service in services if service.migrations is not None]
    return [settings.directory, *(files if settings.postgres is None else ())]


def is_same(paths: Iterable[Path]) -> Probe:
    """Probes whether these paths are the same files as at the start: what is written to a removed file is lost."""
    known = {path: identity_of(path) for path in paths}
    reported: set[Path] = set()

    async def probe() -> str:
        gone = await asyncio.to_thread(lambda: [path for path in known if identity_of(path) != known[path]])
        if not gone:
            return ""
        detail = f"{gone[0]} was removed or replaced while the system runs: stop it, and bring the data back"
        if not reported.issuperset(gone):
            reported.update(gone)
            logger("hosting").error(detail)
        return detail

    return probe


def is_there(service: str, directory: Directory, breakers: Breakers) -> Probe:
    """Probes whether a service in other processes has a known instance, and no breaker around it is open."""

    async def probe() -> str:
        if not directory.instances(service):
            return "no instance is known"
        refusing = [one for one in breakers if one.callee == service and one.breaker.state in _REFUSING]
        return "its breaker is open" if refusing else ""

    return probe
