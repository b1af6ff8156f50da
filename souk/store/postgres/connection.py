"""Steps on a connection of PostgreSQL that must be completed even if the task is cancelled or the connection fails."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

import asyncpg

from souk.kernel.errors import StoreError, StoreUnavailable
from souk.store.error_meaning import Reuse
from souk.store.postgres.errors import DRIVER_ERRORS, meaning_of, translate
from souk.store.postgres.transaction import Connection


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
            await self._pool.release(self._connection)


async def unlock(connection: Connection) -> None:
    try:
        await connection.execute("SELECT pg_advisory_unlock_all()")
    except DRIVER_ERRORS:  # the server frees what a lost connection held
        drop(connection)


async def roll_back(connection: Connection) -> None:
    """Rolls back, or drops the connection if that fails; also after a cancelled BEGIN that the server may have run."""
    try:
        await connection.execute("ROLLBACK")
    except DRIVER_ERRORS:
        drop(connection)


async def end_implicit_transaction(connection: Connection) -> None:
    """Ends what a statement began that was cancelled after it was prepared, and before it was run.

    Preparing begins a transaction on the server, which lasts until the driver's next message ends it: the next
    BEGIN would be refused, because the transaction has already seen the data. Any simple query ends it.
    """
    try:
        await connection.execute("SELECT 1")
    except DRIVER_ERRORS:
        drop(connection)


def drop(connection: Connection) -> None:
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
