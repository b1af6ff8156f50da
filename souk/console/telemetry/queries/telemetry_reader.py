"""Reads the console's file: on a thread of its own, by connections that can only read, for a limited time."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from souk.console.telemetry.store.telemetry_file import open_for_reading
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.store.sqlite.commit_thread import CommitThread
from souk.store.sqlite.errors import DRIVER_ERRORS, code_of

T = TypeVar("T")
Question = Callable[[sqlite3.Connection], T]

LONGEST = 2.0
"""Seconds that a question may take."""
WAITS = 5.0
"""Seconds that whoever asks waits, with the questions before it."""
_STEPS_BETWEEN_CHECKS = 10_000


def ask_file(file: Path, question: Question[T], clock: Clock, longest: float = LONGEST) -> T:
    """Asks the file; blocks meanwhile. Raises ConfigurationError, in one line that says what to do, when it fails."""
    if not file.exists():
        raise ConfigurationError(
            f"nothing has been gathered yet: there is no {file}; it is made once a gateway runs with its console"
        )
    until = clock.monotonic() + longest
    try:
        with closing(open_for_reading(file)) as connection:
            connection.set_progress_handler(lambda: clock.monotonic() >= until, _STEPS_BETWEEN_CHECKS)
            connection.execute("BEGIN")  # one snapshot for all of its statements
            if connection.execute("PRAGMA user_version").fetchone()[0] < 1:
                raise ConfigurationError("nothing has been gathered yet; ask again in a moment")
            return question(connection)
    except DRIVER_ERRORS as error:
        raise ConfigurationError(_why(error, longest)) from error


def _why(error: BaseException, longest: float) -> str:
    code = code_of(error)
    if code == sqlite3.SQLITE_INTERRUPT:
        return f"the search took longer than {longest:g} seconds and was ended; narrow it by time, service or operation"
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return "the console's file is damaged; the gateway sets it aside and begins a new one when it writes next"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "another program holds a lock on the console's file; ask again in a moment"
    return f"the console's data cannot be read: {error}"


@dataclass(slots=True)
class TelemetryReader:
    """Asks the file for the pages of a gateway, without holding up its event loop."""

    file: Path
    clock: Clock
    _thread: CommitThread | None = field(default=None, repr=False)

    async def ask(self, question: Question[T]) -> T:
        """Asks. Raises ConfigurationError, in one line, when that fails or takes too long."""
        if self._thread is None:
            self._thread = CommitThread("console-read")
        found: list[T] = []
        ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

        def end(error: BaseException | None) -> None:
            if not ended.done():
                ended.set_result(error)

        self._thread.submit(lambda: found.append(ask_file(self.file, question, self.clock)), end)
        try:
            async with asyncio.timeout(WAITS):
                error = await ended
        except TimeoutError:
            raise ConfigurationError("the console's data cannot be read: its disk does not answer in time") from None
        if error is not None:
            raise error
        return found[0]
