"""The console's file as its one writer has it: whatever is wrong with it, the system goes on, and `state` says so.

All of it runs on a thread of its own. A disk that hangs holds up that thread, and nothing else: not the event loop, and
not the end of the process.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from souk.console.telemetry.store.eviction import FileRoom, evict, forget_empty, thin
from souk.console.telemetry.store.records import TelemetryBatch
from souk.console.telemetry.store.runs import run_of
from souk.console.telemetry.store.state import Condition, TelemetryState
from souk.console.telemetry.store.telemetry_file import FILE, open_for_reading, open_for_writing, set_aside, used_bytes
from souk.console.telemetry.store.writing import write_batch
from souk.kernel.clock import MICROSECONDS, Clock, to_datetime
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.console import ConsoleSettings
from souk.store.sqlite.commit_thread import CommitThread
from souk.store.sqlite.errors import DRIVER_ERRORS, code_of
from souk.telemetry.logs import logger

TIDY_EVERY = 10 * MICROSECONDS
"""Microseconds between two looks at what has to go."""
LAST_WRITE = 2.0
"""The most seconds that a process waits at its end for a write that runs."""
_MEBIBYTE = 1 << 20
_log = logger("console")


class TelemetryStore:
    """Keeps batches in the folder's file within the limits of the settings. `process` is the one that gathers.

    Belongs to the event loop that made it, until `close`.
    """

    def __init__(self, folder: Path, settings: ConsoleSettings, clock: Clock, process: str) -> None:
        self.state = TelemetryState(gatherer=process, since=clock.now())
        self._path, self._clock = folder / FILE, clock
        self._megabytes, self._hours = settings.megabytes, settings.hours
        self._thread = CommitThread("console")
        self._connection: sqlite3.Connection | None = None
        self._tidied = self._thinned = 0
        self._closed = False

    async def positions(self) -> Mapping[str, int]:
        """Returns how far each ring of spans has been read, as far as the file can tell."""
        found: dict[str, int] = {}

        def read() -> None:
            with closing(open_for_reading(self._path)) as connection:
                found.update(connection.execute("SELECT ring, position FROM rings").fetchall())

        await self._on_thread(read)
        return found

    async def write(self, batch: TelemetryBatch, run: str) -> bool:
        """Writes a batch for the run of this key; returns whether it is in the file. Never raises for the file."""
        error = await self._on_thread(lambda: self._write(batch, run))
        self._note(error)
        self._thread.submit(self._save, lambda error: None)
        return error is None

    async def _on_thread(self, step: Callable[[], None]) -> BaseException | None:
        """Runs a step; returns what is wrong with the file, or None, and raises every other error."""
        ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

        def end(error: BaseException | None) -> None:
            if not ended.done():  # whoever waited was cancelled
                ended.set_result(error)

        self._thread.submit(step, end)
        error = await ended
        if error is not None and not isinstance(error, (*DRIVER_ERRORS, OSError, ConfigurationError)):
            raise error
        return error

    async def close(self) -> None:
        """Closes the file, once, and gives a write that runs LAST_WRITE seconds for that."""
        if self._closed:
            return
        self._closed = True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._thread.stop(self._close), LAST_WRITE)

    def _write(self, batch: TelemetryBatch, run: str) -> None:
        try:
            self._try(batch, run)
        except DRIVER_ERRORS as error:
            if code_of(error) not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise
            self._begin_anew()
            self._try(batch, run)

    def _save(self) -> None:
        with suppress(OSError):  # readers see that it was not told since
            self.state.save(self._path.parent)

    def _try(self, batch: TelemetryBatch, run: str) -> None:
        if self._connection is None:
            self._connection = open_for_writing(self._path, self._megabytes)
        connection, now = self._connection, self._clock.now()
        try:
            self._tidy(connection, now)
            with _Transaction(connection):
                refused = write_batch(connection, batch, run_of(connection, run, now), now)
        except BaseException as error:
            if not isinstance(error, sqlite3.Error) or code_of(error) not in _STAYS_OPEN:
                self._close()
            raise
        if refused:
            _log.warning("the console keeps no more series of figures", refused=refused)

    def _tidy(self, connection: sqlite3.Connection, now: int) -> None:
        used, limit = used_bytes(connection), self._megabytes * _MEBIBYTE
        if now - self._tidied < TIDY_EVERY and used <= limit:
            return
        # What a span takes is estimated: if the file is larger than it should be, the estimate is corrected by that.
        room = FileRoom(int(limit * min(1.0, limit / max(used, 1))), self._hours)
        with _Transaction(connection):
            evict(connection, room, now)
            if now - self._tidied >= TIDY_EVERY:
                self._thinned = thin(connection, self._thinned, now)
                forget_empty(connection, now, self._hours)
        connection.execute("PRAGMA incremental_vacuum(2000)").fetchall()
        self._tidied = now

    def _begin_anew(self) -> None:
        self._close()
        aside = set_aside(self._path)
        when = to_datetime(self._clock.now()).strftime("%Y-%m-%d %H:%M:%S")
        note = f"The console's file was damaged. It was set aside as {aside.name}, and a new one begun, at {when} UTC."
        self.state = replace(self.state, note=note)
        _log.warning("the console's file was damaged and set aside", file=str(aside))

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*DRIVER_ERRORS):
                connection.close()

    def _note(self, error: BaseException | None) -> None:
        condition, words = (Condition.WELL, "") if error is None else _meaning(error)
        now = self._clock.now()
        if condition is not self.state.condition:
            (_log.info if error is None else _log.warning)("the console's data", condition=str(condition), why=words)
        since = self.state.since if condition is self.state.condition else now
        self.state = replace(self.state, condition=condition, words=words, since=since, at=now)


class _Transaction:
    """A transaction that writes; it is taken back when the block raises."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._connection.execute("COMMIT")
        elif self._connection.in_transaction:
            with suppress(sqlite3.Error):  # the error of the block is the one to report
                self._connection.execute("ROLLBACK")


_STAYS_OPEN = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_FULL = "The disk that holds the console's data is full: make room. What is gathered is not kept meanwhile."
_LOCKED = "Another program holds a lock on the console's file. What is gathered is written once it lets go."


def _meaning(error: BaseException) -> tuple[Condition, str]:
    code = code_of(error)
    if code == sqlite3.SQLITE_FULL:
        return Condition.FULL, _FULL
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Condition.LOCKED, _LOCKED
    return Condition.AWAY, f"The console's file cannot be used: {error}. Nothing is kept meanwhile."
