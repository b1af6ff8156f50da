"""Steps on a connection of PostgreSQL that must be completed even if the task is cancelled or the connection fails."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import asyncpg

from souk.kernel.errors import StoreError, StoreUnavailable
from souk.store.error_meaning import Reuse
from souk.store.postgres.errors import DRIVER_ERRORS, meaning_of, translate
from souk.store.postgres.transaction import Connection
from souk.telemetry.logs import logger

CLEANED_UP_WITHIN = 10.0
"""Seconds in which a server must have cleaned up: a connection to one that does not answer is dropped."""
CLOSED_WITHIN = 20.0
"""Seconds in which the connections to a database are closed in good order; what is left of them then is dropped."""

_log = logger("store")


class Borrowed:
    """Borrows a connection from a pool for the length of a block; one that an error shows to be unusable is dropped.

    Raises StoreUnavailable when no connection is free within `patience` seconds.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", name: str, patience: float) -> None:
        self._pool, self._name, self._patience = pool, name, patience
        self._connection: Connection

    async def __aenter__(self) -> Connection:
        try:
            if self._pool.get_idle_size():  # no wait, so no timer: a timer would cost as much as all the rest
                self._connection = await self._pool.acquire()
            else:
                await self._wait_for_one()
        except DRIVER_ERRORS as error:
            raise translate(error, self._name) from error
        return self._connection

    async def _wait_for_one(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                self._connection = await self._pool.acquire()
        except TimeoutError as error:
            every = self._pool.get_size() >= self._pool.get_max_size()
            why = "every connection is in use" if every else "it cannot be reached"
            raise StoreUnavailable(f"database {self._name}: {why}, for {self._patience:g} s by now") from error

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        reuse = meaning_of(error.__cause__).reuse if isinstance(error, StoreError) and error.__cause__ else Reuse.KEEP
        if reuse is not Reuse.KEEP:
            drop(self._connection)
        if isinstance(error, asyncio.CancelledError):
            await undisturbed(end_implicit_transaction(self._connection))
        if reuse is Reuse.DISCARD_ALL:
            await self._pool.expire_connections()
        with suppress(*DRIVER_ERRORS):  # after such an error the pool has dropped the connection
            await self._pool.release(self._connection, timeout=CLEANED_UP_WITHIN)


async def unlock(connection: Connection) -> None:
    """Frees its locks; those of a connection that is dropped are freed by the server."""
    await _clean_up(connection, "SELECT pg_advisory_unlock_all()")


async def roll_back(connection: Connection) -> None:
    """Rolls back, or drops the connection if that fails; also after a cancelled BEGIN that the server may have run."""
    await _clean_up(connection, "ROLLBACK")


async def end_implicit_transaction(connection: Connection) -> None:
    """Ends what a statement began that was cancelled after it was prepared, and before it was run.

    Preparing begins a transaction on the server, which lasts until the driver's next message ends it: the next
    BEGIN would be refused, because the transaction has already seen the data. Any simple query ends it.
    """
    await _clean_up(connection, "SELECT 1")


async def _clean_up(connection: Connection, sql: str) -> None:
    """Runs it, or drops the connection. Nobody can cancel this, so it ends by itself, whatever the server does."""
    try:
        async with asyncio.timeout(CLEANED_UP_WITHIN):  # the driver's own limit begins after what it waits for first
            await connection.execute(sql)
    except DRIVER_ERRORS:
        drop(connection)


@contextmanager
def dropped_on_failure(connection: Any) -> Iterator[None]:
    """Drops a connection, or what holds several, if the block that opens or closes it fails or is cancelled.

    Nobody else would: who was to get it never does, and who gave it back has forgotten it.
    """
    try:
        yield
    except BaseException:
        drop(connection)
        raise


@asynccontextmanager
async def closing(connection: Any, database: str) -> AsyncIterator[None]:
    """Gives a block CLOSED_WITHIN seconds to close a connection, or what holds several, and drops what does not."""
    try:
        with dropped_on_failure(connection):
            async with asyncio.timeout(CLOSED_WITHIN):
                yield
    except TimeoutError:
        _log.warning("a database does not answer; its connections were dropped", database=database)


def drop(connection: Any) -> None:
    """Ends a connection, or a pool, at once."""
    with suppress(*DRIVER_ERRORS):  # the pool may have dropped it already
        connection.terminate()


async def undisturbed(step: Awaitable[None]) -> None:
    """Awaits `step` to its end even when the caller is cancelled meanwhile.

    Then passes the cancellation on, also if the step failed: what answers a failure with another try must not.
    """
    task = asyncio.ensure_future(step)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        raise cancellation from None if task.cancelled() else task.exception()
    task.result()


async def keep(connection: Any) -> None:
    """Resets nothing when a connection goes back to the pool: no transaction leaves anything in its session.

    That saves a round trip for each transaction.
    """
