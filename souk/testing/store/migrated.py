"""SQLite databases for tests, migrated already.

A new one is a copy of a file that was migrated once in this process: to apply all migrations for each test takes more
than most tests.
"""

import os
import tempfile
from pathlib import Path

from souk.kernel.clock import Clock
from souk.runtime.service import Service
from souk.store.database import Database
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.sqlite.database import SqliteDatabase

_TEMPLATES: dict[str, bytes] = {}


async def migrated_sqlite(path: Path, clock: Clock, service: Service | None = None) -> SqliteDatabase:
    """Opens a database with the platform's migrations, and those of a service; makes the file if there is none.

    In a file that is there the migrations are applied which it lacks.
    """
    key = str(service and service.migrations)
    if key not in _TEMPLATES:
        _TEMPLATES[key] = await _template(clock, service)
    is_new = _make(path, _TEMPLATES[key])
    database = await SqliteDatabase.open(path, clock=clock)
    if not is_new:
        await _up_to_date_or_closed(database, service)
    return database


async def bring_up_to_date(database: Database, service: Service | None = None) -> None:
    """Applies the platform's migrations to a database, and those of a service."""
    await migrate(database, platform_migrations(), PLATFORM)
    if service is not None and service.migrations is not None:
        await migrate(database, service.migrations, service.name)


async def _up_to_date_or_closed(database: Database, service: Service | None) -> None:
    try:
        await bring_up_to_date(database, service)
    except BaseException:
        await database.close()
        raise


def _make(path: Path, content: bytes) -> bool:
    """Makes a file, which only its owner can read, and tells whether it did: not if there is one."""
    try:
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


async def _template(clock: Clock, service: Service | None) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        database = await SqliteDatabase.open(path, clock=clock)
        try:
            await bring_up_to_date(database, service)
        finally:
            await database.close()
        return path.read_bytes()
