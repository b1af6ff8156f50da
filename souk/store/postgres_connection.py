"""What is done to a connection of PostgreSQL, whatever becomes of who does it."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from souk.store.postgres_errors import DRIVER_ERRORS
from souk.store.postgres_transaction import Connection


async def unlock(connection: Connection) -> None:
    try:
        await connection.execute("SELECT pg_advisory_unlock_all()")
    except DRIVER_ERRORS:  # the server frees what a lost connection held
        drop(connection)


async def roll_back(connection: Connection) -> None:
    """Also after a BEGIN that was cancelled on its way, which the server may have done."""
    try:
        await connection.execute("ROLLBACK")
    except DRIVER_ERRORS:
        drop(connection)


def drop(connection: Connection) -> None:
    with suppress(*DRIVER_ERRORS):  # the pool may have dropped it already
        connection.terminate()


async def undisturbed(step: Coroutine[Any, Any, None]) -> None:
    """Awaits `step` to its end even when the caller is cancelled meanwhile; then passes the cancellation on."""
    task = asyncio.ensure_future(step)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancellation = error
    task.result()
    if cancellation is not None:
        raise cancellation


async def keep(connection: Any) -> None:
    """Nothing to reset: no transaction leaves anything in its session. Saves a round trip each."""
