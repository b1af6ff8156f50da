"""Opens the databases of a system for a command, from outside.

A fleet may run meanwhile, and must if PostgreSQL is its own; SQLite files must not be in use.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from souk.admin.databases import DatabaseLocator, locate_databases, nothing_kept
from souk.faults import INERT
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError, StoreError
from souk.runtime.config.settings import DataSettings
from souk.runtime.data import manifest
from souk.runtime.data.database_file import require_complete
from souk.runtime.data.databases import open_database, require_a_database_each
from souk.runtime.data.directory import held
from souk.runtime.service import Service
from souk.store.database import Database, Transaction
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.sqlite.database import SqliteDatabase


@asynccontextmanager
async def opened_databases(
    settings: DataSettings, topology: str, services: Iterable[Service], clock: Clock
) -> AsyncIterator[tuple[dict[str, Database], bool]]:
    """Opens the databases of a system: every file in its data directory, which is locked inside the block.

    On PostgreSQL, where the system may run meanwhile, it opens those of `services` instead. Gives the databases by
    service, and whether the system may run. Raises ConfigurationError, in one line, when one cannot be used.
    """
    where = locate_databases(settings, topology)
    async with AsyncExitStack() as stack:
        if where.in_files:
            manifest.require_fit(settings.directory, manifest.FILES)
            require_complete(settings.directory)
            files = _files(settings.directory)
            stack.enter_context(_alone(settings.directory, files))
            databases = await _in_files(files, clock, stack)
        else:
            databases = await _on_servers(where, services, clock, stack)
        yield databases, not where.in_files


def _files(data: Path) -> dict[str, Path]:
    if not data.is_dir():
        raise ConfigurationError(f"there is no data directory {data}; name it with --data")
    files = {path.stem: path for path in sorted(data.glob("*.db"))}
    if not files:
        raise ConfigurationError(nothing_kept(data))
    return files


async def _in_files(files: dict[str, Path], clock: Clock, stack: AsyncExitStack) -> dict[str, Database]:
    databases: dict[str, Database] = {}
    for name, path in files.items():
        database = await SqliteDatabase.open(path, clock=clock)
        stack.push_async_callback(database.close)
        if await database.read(_has_tables):
            await _bring_up(database, path)
            databases[name] = database
    return databases


async def _bring_up(database: Database, path: Path) -> None:
    """Brings the platform's tables of a file to this program's version, as a start does."""
    try:
        await migrate(database, platform_migrations(), PLATFORM)
    except (StoreError, ConfigurationError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


async def _on_servers(
    where: DatabaseLocator, services: Iterable[Service], clock: Clock, stack: AsyncExitStack
) -> dict[str, Database]:
    known = [service for service in services if service.migrations is not None and where.has(service.name)]
    if where.server is None:
        require_a_database_each(known, where.settings)
    databases: dict[str, Database] = {}
    for service in known:
        database = databases[service.name] = await open_database(service, where.of(service.name), clock, INERT)
        stack.push_async_callback(database.close)
    return databases


@contextmanager
def _alone(data: Path, services: Iterable[str]) -> Iterator[None]:
    """Locks the data directory against a system of one process, and its folders against services in processes of their
    own."""
    with ExitStack() as locks:
        locks.enter_context(held(data))
        for service in services:
            if (data / service).is_dir():
                locks.enter_context(held(data / service))
        yield


async def _has_tables(tx: Transaction) -> bool:
    """Tells whether a file is a database of a service; a start that failed may leave an empty one."""
    return await tx.fetch_one("SELECT 1 AS one FROM sqlite_master WHERE name = 'souk_outbox_delivery'") is not None
