"""A ServiceContext for one service under test: a migrated database of its own, and nothing around it.

    async with service_host(service, folder, clock=clock) as context:
        parts = await service.build(context)

Opening a second one on the same folder after the first was left is a restart.
"""

import inspect
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from redis.asyncio import Redis

from souk.descriptors.contract import contract_of
from souk.descriptors.request_check import require_within_limits
from souk.faults import INERT, Faults
from souk.kernel.clock import Clock, SystemClock
from souk.kernel.errors import DomainError, InvalidArgument
from souk.runtime.service import Service, ServiceContext
from souk.store.database import Database
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.outbox import Outbox
from souk.store.postgres.database import PostgresDatabase
from souk.store.sqlite.database import SqliteDatabase


def _no_channel(name: str) -> NoReturn:
    raise AssertionError(f"this test gives no channel to {name}")


@asynccontextmanager
async def service_host(
    service: Service,
    folder: Path,
    *,
    clock: Clock | None = None,
    settings: Mapping[str, str] | None = None,
    faults: Faults = INERT,
    postgres_url: str | None = None,
    redis: Redis | None = None,
) -> AsyncIterator[ServiceContext]:
    """A ServiceContext whose database, a SQLite file unless a URL says otherwise, is closed at the end."""
    clock = clock or SystemClock()
    database: Database
    if postgres_url is None:
        database = await SqliteDatabase.open(folder / f"{service.name}.db", clock=clock)
    else:
        database = await PostgresDatabase.open(postgres_url)
    try:
        await migrate(database, platform_migrations(), PLATFORM)
        if service.migrations is not None:
            await migrate(database, service.migrations, service.name)
        yield ServiceContext(
            name=service.name,
            own_database=database,
            outbox=Outbox(service.name, clock),
            channel=_no_channel,
            clock=clock,
            folder=folder,
            instance="test",
            secret=b"the secret of this test's service",
            settings=settings or {},
            faults=faults,
            redis=redis,
        )
    finally:
        await database.close()


class HeldToContract:
    """A servicer whose requests are checked first, as whatever serves it does."""

    def __init__(self, servicer: object) -> None:
        self._servicer = servicer

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._servicer, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def call(request: Any, context: Any) -> Any:
            require_within_limits(request)
            return await method(request, context)

        return call


def require_listed(service: ServiceDescriptor, method: str, error: DomainError) -> None:
    """Raises AssertionError when a method refuses with a reason that its contract does not list."""
    listed = contract_of(service).methods[f"/{service.full_name}/{method}"].reasons
    assert isinstance(error, InvalidArgument) or error.reason in listed, f"{method} does not list {error.reason}"


class AbortedError(Exception):
    """What `abort` raises under test."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code


class CallRecord:
    """Stands for a servicer's context: remembers what the servicer did with it."""

    def __init__(self) -> None:
        self.trailing: dict[str, str] = {}

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """Keeps it for the test."""
        self.trailing = dict(trailing_metadata)

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """Raises AbortedError."""
        raise AbortedError(code, details)
