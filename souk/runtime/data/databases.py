"""Opens the database of a service: a SQLite file in the data directory, or a database on a PostgreSQL server."""

from collections.abc import Iterable
from importlib.resources.abc import Traversable
from pathlib import Path
from urllib.parse import urlsplit

from souk.events import leases as events
from souk.faults import Faults
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError, StoreError, StoreUnavailable
from souk.runtime.config.parsers import postgres_server
from souk.runtime.config.settings import SERVICE_PLACEHOLDER, DataSettings
from souk.runtime.service import Service
from souk.saga import maintenance as sagas
from souk.store.database import Database, Transaction
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.sqlite.database import SqliteDatabase
from souk.telemetry.logs import logger
from souk.telemetry.tracing.tracer import Tracer

_log = logger("hosting")


def require_a_database_each(services: Iterable[Service], settings: DataSettings) -> None:
    """Checks the setting `postgres`. Raises ConfigurationError when several services would share a database."""
    kept = [service.name for service in services if service.migrations is not None]
    if settings.postgres is not None and SERVICE_PLACEHOLDER not in settings.postgres and len(kept) > 1:
        raise ConfigurationError(
            f"SOUK_POSTGRES must have {SERVICE_PLACEHOLDER} in place of the database's name: "
            f"{', '.join(kept)} own a database each"
        )


async def open_database(
    service: Service, settings: DataSettings, clock: Clock, faults: Faults, tracer: Tracer | None = None
) -> Database:
    """Opens the database of a service that has migrations, and brings its tables to this program's version.

    Raises ConfigurationError, in one line and without a password, when the database cannot be used.
    """
    folder = _migrations_of(service)
    where, database = await open_as_it_is(service, settings, clock, faults, tracer)
    try:
        await migrate(database, platform_migrations(), PLATFORM)
        await migrate(database, folder, service.name)
        if settings.postgres is None:
            await _take_over(database)
    except StoreError as error:
        await database.close()
        raise ConfigurationError(f"{where}: {_line(error)}") from error
    except BaseException:
        await database.close()
        raise
    return database


async def open_as_it_is(
    service: Service, settings: DataSettings, clock: Clock, faults: Faults, tracer: Tracer | None = None
) -> tuple[str, Database]:
    """Opens the database of a service with the tables that it has; returns where that is, for messages, and it.

    Raises ConfigurationError, in one line and without a password, when the database cannot be used.
    """
    if settings.postgres is None:
        path = settings.directory / f"{service.name}.db"
        return str(path), await _sqlite(path, clock, faults, tracer)
    url = settings.postgres.replace(SERVICE_PLACEHOLDER, service.name)
    return _described(url), await _postgres(url, settings.postgres_pool, faults, tracer)


def _migrations_of(service: Service) -> Traversable:
    folder = service.migrations
    if folder is None or not folder.is_dir() or not any(file.name.endswith(".sql") for file in folder.iterdir()):
        raise ConfigurationError(
            f"{service.name} has no migrations in {service.migrations}: the first is 0001_NAME.sql"
        )
    return folder


async def _take_over(database: Database) -> None:
    """Ends the leases in a SQLite file, so that the work under them goes on at once. The process that holds the
    directory is the only one that uses the file: a process that left a lease has ended, whatever the clock says."""

    async def work(tx: Transaction) -> None:
        await sagas.end_leases(tx)
        await events.end_leases(tx)

    try:
        await database.run(work)
    except StoreUnavailable as error:  # such as a full disk, on which the system answers what it can
        _log.warning("leases are left to end by themselves", error=str(error))


async def _sqlite(path: Path, clock: Clock, faults: Faults, tracer: Tracer | None) -> Database:
    return await SqliteDatabase.open(path, clock=clock, faults=faults, tracer=tracer)


async def _postgres(url: str, most: int, faults: Faults, tracer: Tracer | None) -> Database:
    try:
        # Imported here, because its driver is an optional extra.
        from souk.store.postgres.database import PostgresDatabase
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise ConfigurationError(
            "SOUK_POSTGRES needs the driver asyncpg, which is not installed: pip install 'souk-platform[postgres]'"
        ) from None
    try:
        return await PostgresDatabase.open(url, most=most, faults=faults, tracer=tracer)
    except (ConfigurationError, StoreError) as error:
        raise ConfigurationError(f"SOUK_POSTGRES ({postgres_server(url)}): {_line(error)}") from None


def _described(url: str) -> str:
    return f"database {urlsplit(url).path.lstrip('/')} on {postgres_server(url)}"


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]
