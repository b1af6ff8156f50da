"""Brings the databases of services to this program's schema, apart from any process that serves.

A service that starts does the same. Where many start at once, such as in a cluster, one program does it before them,
and they wait for it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from souk.faults import INERT
from souk.kernel.clock import Clock, SystemClock
from souk.kernel.errors import ConfigurationError, StoreError
from souk.runtime.config.settings import DataSettings
from souk.runtime.data.databases import open_as_it_is
from souk.runtime.service import Service
from souk.store.database import Database
from souk.store.migrations import PLATFORM, migrate, pending, platform_migrations

AGAIN = 1.0
"""Seconds until a database is asked again whether it has the schema."""


@asynccontextmanager
async def _opened(service: Service, settings: DataSettings) -> AsyncIterator[Database]:
    where, database = await open_as_it_is(service, settings, SystemClock(), INERT)
    try:
        yield database
    except StoreError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    finally:
        await database.close()


async def bring_up(service: Service, settings: DataSettings) -> int:
    """Applies the migrations that the database of a service lacks; returns how many. Raises ConfigurationError."""
    assert service.migrations is not None
    async with _opened(service, settings) as database:
        applied = await migrate(database, platform_migrations(), PLATFORM)
        return applied + await migrate(database, service.migrations, service.name)


async def lacking(service: Service, settings: DataSettings) -> list[str]:
    """Reads which migrations the database of a service lacks, such as "order 0007_refunds"; writes nothing.

    Raises ConfigurationError when the database cannot be used, or is newer than this program.
    """
    assert service.migrations is not None
    async with _opened(service, settings) as database:
        return [
            f"{component} {one.number:04}_{one.name}"
            for component, folder in ((PLATFORM, platform_migrations()), (service.name, service.migrations))
            for one in await pending(database, folder, component)
        ]


async def wait_for(
    service: Service, settings: DataSettings, seconds: float, clock: Clock, note: Callable[[str], None]
) -> None:
    """Returns once the database of a service lacks no migration; `note` is given each new reason to wait.

    Raises ConfigurationError with the last reason after so many seconds. A database that cannot be used is waited for
    as well: it may not be there yet.
    """
    until, before = clock.monotonic() + seconds, ""
    while reason := await _reason_to_wait(service, settings):
        if clock.monotonic() >= until:
            raise ConfigurationError(f"{reason} (waited {seconds:g} s)")
        if reason != before:
            note(reason)
            before = reason
        await asyncio.sleep(AGAIN)


async def _reason_to_wait(service: Service, settings: DataSettings) -> str:
    try:
        missing = await lacking(service, settings)
    except ConfigurationError as error:
        return str(error)
    if not missing:
        return ""
    return f"the database of {service.name} lacks {', '.join(missing)}: `souk migrate {service.name}` adds them"
