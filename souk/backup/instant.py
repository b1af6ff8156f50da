"""Takes a snapshot of all databases of a running system at one instant.

    lock every database against writers -> take a snapshot of each -> release the locks -> copy the snapshots

No transaction spans two databases and none makes a call, so these locks cannot wait for each other in a circle.
While all are held, nothing commits in any database: the snapshots are what a power failure at that instant would
leave, and a system that is started on them goes on as after one.
"""

import asyncio
import contextlib
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from souk.kernel.errors import ConfigurationError

PATIENCE = 30.0
"""Seconds in which the instant must be found."""
LONGEST_TRY = 2.0
"""Seconds for which writers wait at most in one try; they give up after five seconds."""
SHORTEST = 0.02
"""Seconds for which the locks are held at least: longer than the resolution of file times."""
_LOCK_TIMEOUT = "300ms"
"""Shorter than PostgreSQL's deadlock_timeout: in a deadlock with a writer, this transaction gives up first."""
_PAUSE = 0.0005
_PRIMARY = 0xFF
"""Masks the octet of SQLite's extended error code that is the primary code."""
_TABLES = "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"


@dataclass(frozen=True, slots=True)
class Instant:
    """Snapshots, which last as long as the block of `one_instant`.

    `files` are connections that read SQLite files at the instant, by path; `servers` are ids of exported snapshots,
    by service. `at` is the instant, in seconds since 1970; writers waited for `waited` seconds.
    """

    files: Mapping[Path, sqlite3.Connection]
    servers: Mapping[str, str]
    at: float
    waited: float


class _Busy(Exception):
    """A writer has not ended in time."""


async def _nothing() -> None:
    """Has nothing to do at the instant."""


@asynccontextmanager
async def one_instant(
    files: Sequence[Path], servers: Mapping[str, Any], at_it: Callable[[], Awaitable[None]] = _nothing
) -> AsyncIterator[Instant]:
    """Takes a snapshot of these SQLite files, and of the databases to which `servers` are connections.

    `at_it` runs at the instant, while writers wait. Raises ConfigurationError when no try to lock them all succeeds
    within PATIENCE seconds.
    """
    async with AsyncExitStack() as stack:
        until = time.monotonic() + PATIENCE
        while (found := await _found(files, servers, at_it, stack)) is None:
            if time.monotonic() > until:
                raise ConfigurationError(
                    f"writes have not paused for {PATIENCE:g} s; try again when the system is less busy"
                )
            await asyncio.sleep(random.uniform(0.05, 0.5))
        yield found


async def _found(
    files: Sequence[Path], servers: Mapping[str, Any], at_it: Callable[[], Awaitable[None]], stack: AsyncExitStack
) -> Instant | None:
    try:
        return await stack.enter_async_context(_tried(files, servers, at_it))
    except _Busy:
        return None


@asynccontextmanager
async def _tried(
    files: Sequence[Path], servers: Mapping[str, Any], at_it: Callable[[], Awaitable[None]]
) -> AsyncIterator[Instant]:
    with ExitStack() as readers:
        began = time.monotonic()
        with ExitStack() as locks:
            for path in files:
                locks.callback(_lock_file(path, began + LONGEST_TRY))
            snapshots = await _locked_servers(servers)
            at, held = time.time(), time.monotonic()
            found = {path: _reader(path, readers) for path in files}
            await at_it()
            await asyncio.sleep(max(0.0, SHORTEST - (time.monotonic() - held)))
        await _let_go(servers)
        exported = {name: str(await servers[name].fetchval("SELECT pg_export_snapshot()")) for name in snapshots}
        yield Instant(found, exported, at, time.monotonic() - began)


def _lock_file(path: Path, until: float) -> Callable[[], None]:
    """Locks a file against writers; returns the function that releases the lock."""
    connection = _connect(path)
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            break
        except sqlite3.OperationalError as error:
            if time.monotonic() > until:
                connection.close()
                busy = error.sqlite_errorcode & _PRIMARY == sqlite3.SQLITE_BUSY
                raise (_Busy() if busy else _unreadable(path, error)) from error
            time.sleep(_PAUSE)

    def let_go() -> None:
        connection.execute("ROLLBACK")
        connection.close()

    return let_go


def _reader(path: Path, stack: ExitStack) -> sqlite3.Connection:
    connection = stack.enter_context(contextlib.closing(_connect(path)))
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    """Connects to a file, with the right to write: read-only, a file whose last writer was killed cannot be read."""
    where = f"{path.absolute().as_uri()}?mode=rw"
    try:
        return sqlite3.connect(where, uri=True, isolation_level=None, timeout=0, check_same_thread=False)
    except sqlite3.Error as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: sqlite3.Error) -> ConfigurationError:
    return ConfigurationError(f"{path} cannot be read: {error}")


async def _locked_servers(servers: Mapping[str, Any]) -> list[str]:
    """Locks the databases against writers, and takes the snapshots; `_let_go` releases the locks."""
    try:
        for connection in servers.values():
            await _lock_server(connection)
        for connection in servers.values():
            await connection.fetchval("SELECT 1")  # the first query takes the transaction's snapshot
    except BaseException as error:
        for connection in servers.values():
            with contextlib.suppress(Exception):
                await connection.execute("ROLLBACK")
        if getattr(error, "sqlstate", "") in ("55P03", "40P01"):  # lock_not_available, deadlock_detected
            raise _Busy from error
        raise
    return list(servers)


async def _lock_server(connection: Any) -> None:
    tables = ", ".join(row["name"] for row in await connection.fetch(_TABLES))
    await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
    await connection.execute("SAVEPOINT writers_wait")
    if tables:
        await connection.execute(f"LOCK TABLE {tables} IN SHARE MODE")


async def _let_go(servers: Mapping[str, Any]) -> None:
    """Releases the locks, which belong to the savepoint; the snapshots stay, as they belong to the transactions."""
    for connection in servers.values():
        await connection.execute("ROLLBACK TO SAVEPOINT writers_wait")
        await connection.execute("RELEASE SAVEPOINT writers_wait")
