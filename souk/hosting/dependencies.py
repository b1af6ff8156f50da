"""What a process depends on, as probes for its `Health`: its databases, its disk, and services elsewhere."""

import asyncio
import os
from pathlib import Path

from souk.discovery.directory import Directory
from souk.hosting.control.breakers import Breakers
from souk.resilience.breaker import State
from souk.store.database import Database, Transaction
from souk.store.database_clock import DatabaseClock
from souk.telemetry.health import Probe

LEAST_FREE = 16 * 1024 * 1024
"""Bytes that must be free on the disk of the data directory; with fewer, a commit may fail at any moment."""
_REFUSING = frozenset({State.OPEN, State.FORCED_OPEN})


def answers(database: Database) -> Probe:
    """The database takes a read."""

    async def work(tx: Transaction) -> None:
        await tx.fetch_one("SELECT 1 AS one")

    async def probe() -> str:
        await database.read(work, single=True)
        return ""

    return probe


def tells_time(clock: DatabaseClock) -> Probe:
    """The database says what time it is, and is asked for it again and again."""

    async def probe() -> str:
        await clock.ask()
        return ""

    return probe


def has_room(folder: Path, least: int = LEAST_FREE) -> Probe:
    """The disk that holds a folder is not full."""

    async def probe() -> str:
        found = await asyncio.to_thread(os.statvfs, folder)
        free = found.f_bavail * found.f_frsize
        return "" if free >= least else f"the disk is full: {free / 1e6:.0f} MB are left for {folder}"

    return probe


def is_there(service: str, directory: Directory, breakers: Breakers) -> Probe:
    """A service in other processes has an instance, and the breakers around it let calls through."""

    async def probe() -> str:
        if not directory.instances(service):
            return "no instance is known"
        refusing = [one for one in breakers if one.callee == service and one.breaker.state in _REFUSING]
        return "its breaker is open" if refusing else ""

    return probe
