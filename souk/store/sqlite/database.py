"""The database port on SQLite: one file, one writer with group commit, reads on a connection of their own.

Statements run on the event loop's thread, which measurements show to be cheaper than handing them to another thread.
Only COMMIT, which waits for the disk, and reads marked as `long` run on other threads. Other reads and the work of a
transaction block the event loop while they run: keep them short, and read long results in pages.
"""

import os
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from souk.faults import EXIT_STATUS, INERT, Faults
from souk.kernel import private_files
from souk.kernel.clock import Clock, SystemClock
from souk.kernel.errors import ConfigurationError, ForeignAwait, SoukError, StoreError, StoreUnavailable
from souk.kernel.transaction_guard import in_transaction
from souk.store.database import Dialect, Work
from souk.store.listeners import Listeners
from souk.store.sqlite.errors import DRIVER_ERRORS, code_of, translate
from souk.store.sqlite.group_commit import GroupCommit
from souk.store.sqlite.readers import LongReads, finish
from souk.store.sqlite.transaction import DIALECT, SqliteSingleRead, SqliteSnapshot
from souk.telemetry.tracing.leaves import READ, TRANSACTION, Leaves, leaf
from souk.telemetry.tracing.tracer import Tracer

T = TypeVar("T")

_WRITER = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 0",  # waiting is done by the event loop
    "PRAGMA temp_store = MEMORY",
    "PRAGMA journal_size_limit = 67108864",
)
_READER = ("PRAGMA query_only = ON", "PRAGMA busy_timeout = 1000", "PRAGMA temp_store = MEMORY")
_CACHED_STATEMENTS = 512


def _exit(reason: str) -> None:
    sys.stderr.write(f"{reason}\n")
    sys.stderr.flush()
    os._exit(EXIT_STATUS)


class SqliteDatabase:
    """Implements `Database` on one file. Belongs to the event loop that opened it.

    `notify` reaches only the listeners of this object, which suffices because the directory is locked
    (`lock_directory`), so no other process has the file. `lock` does nothing, because there is one writer.
    """

    def __init__(
        self,
        name: str,
        writer: GroupCommit,
        reader: sqlite3.Connection,
        long: LongReads,
        listeners: Listeners,
        leaves: Leaves | None = None,
    ) -> None:
        self._name, self._leaves = name, leaves
        self._long = long
        self._writer = writer
        self._reader = reader
        self._listeners = listeners
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: Path | str,
        *,
        clock: Clock | None = None,
        patience: float = 5.0,
        faults: Faults = INERT,
        strike: Callable[[str], None] = _exit,
        tracer: Tracer | None = None,
    ) -> "SqliteDatabase":
        """Opens the file, creating it if it does not exist.

        `patience` is how long, in seconds, a transaction waits for a lock that another process holds.
        `strike` is called with a reason after the disk has failed during a commit, and is to end the
        process. `tracer` records transactions. Raises ConfigurationError when the file cannot be opened or is no
        database.
        """
        path, clock, listeners = Path(path), clock or SystemClock(), Listeners()
        _make_private(path)
        connection = _connect(path, clock, _WRITER)
        try:
            reader = _connect(path, clock, _READER)
        except SoukError:
            connection.close()
            raise
        writer = GroupCommit(connection, path, listeners, patience=patience, faults=faults, strike=strike)
        long = LongReads(path.name, lambda: _connect(path, clock, _READER), clock)
        leaves = None if tracer is None else Leaves(tracer, "sqlite", path.name, failures=(StoreError,))
        return cls(path.name, writer, reader, long, listeners, leaves)

    @property
    def dialect(self) -> Dialect:
        return DIALECT

    @property
    def prepared(self) -> None:
        return None

    async def run(self, work: Work[T], *, guarded: bool = False, grouped: bool = False) -> T:
        if in_transaction():
            raise ForeignAwait("a transaction may not open another one")
        member = self._writer.submit(work)
        with leaf(self._leaves, TRANSACTION, member):
            result: T = await member.future
        return result

    async def read(self, work: Work[T], *, single: bool = False, long: bool = False) -> T:
        if in_transaction():
            raise ForeignAwait("a transaction may not open another one")
        if self._closed:
            raise StoreUnavailable(f"database {self._name} is closed")
        with leaf(self._leaves, READ):
            if long:
                return await self._long.read(work)
            return self._read(work, single=single)

    def _read(self, work: Work[T], *, single: bool) -> T:
        if single:
            return finish(work, SqliteSingleRead(self._reader, self._name, INERT))
        try:
            self._reader.execute("BEGIN")
            return finish(work, SqliteSnapshot(self._reader, self._name, INERT))
        except sqlite3.Error as error:
            raise translate(error, self._name) from error
        finally:
            self._end_snapshot()

    def listen(self, channel: str, callback: Callable[[], None]) -> Callable[[], None]:
        return self._listeners.add(channel, callback)

    async def outlast_open(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        """Returns at once: there is one writer, and each transaction sees all that committed before it."""

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._writer.close()
            await self._long.close()
            self._reader.close()

    def _end_snapshot(self) -> None:
        if self._reader.in_transaction:
            self._reader.execute("ROLLBACK")


def _make_private(path: Path) -> None:
    """Creates a file that only its owner can read; SQLite gives the files that it adds beside it the same mode.

    An existing file is not opened, since closing it would drop the locks that this process has on it.
    """
    with suppress(OSError):  # SQLite, which opens the file next, reports a better error
        private_files.create_empty(path)


def _connect(path: Path, clock: Clock, pragmas: tuple[str, ...]) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=_CACHED_STATEMENTS
        )
    except sqlite3.Error as error:
        raise _refused(path, error) from error
    connection.row_factory = sqlite3.Row
    connection.create_function("souk_now", 0, clock.now)
    try:
        for pragma in pragmas:
            connection.execute(pragma).fetchall()
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    except DRIVER_ERRORS as error:
        connection.close()
        raise _refused(path, error) from error
    return connection


def _refused(path: Path, error: BaseException) -> Exception:
    known = code_of(error)
    if known == sqlite3.SQLITE_NOTADB:
        return ConfigurationError(f"{path} is not a SQLite database")
    if known in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return ConfigurationError(f"{path} cannot be opened for writing: {error}")
    return translate(error, path.name)
