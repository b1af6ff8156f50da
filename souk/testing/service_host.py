"""A ServiceContext for tests of one service: a migrated database of its own, and no other service.

    async with service_host(service, folder, clock=clock) as context:
        parts = await service.build(context)

A second one on the same folder, after the first has ended, acts as a restart.
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
from souk.store.outbox import Outbox
from souk.store.postgres.database import PostgresDatabase
from souk.testing.store.migrated import bring_up_to_date, migrated_sqlite


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
    """Makes a ServiceContext and closes its database at the end: a SQLite file, unless `postgres_url` is given."""
    clock = clock or SystemClock()
    database: Database
    if postgres_url is None:
        database = await migrated_sqlite(folder / f"{service.name}.db", clock, service)
    else:
        database = await PostgresDatabase.open(postgres_url)
    try:
        if postgres_url is not None:
            await bring_up_to_date(database, service)
        yield ServiceContext(
            name=service.name,
            own_database=database,
            outbox=Outbox(service.name, clock, service.contract),
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
    """Wraps a servicer, and checks requests against the limits of the contract first, as servers do."""

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
    """Raised by `CallRecord.abort`."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code


class CallRecord:
    """A fake of a servicer's context, which records what the servicer does with it."""

    def __init__(self) -> None:
        self.trailing: dict[str, str] = {}

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """Records the trailing metadata."""
        self.trailing = dict(trailing_metadata)

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """Raises AbortedError."""
        raise AbortedError(code, details)
