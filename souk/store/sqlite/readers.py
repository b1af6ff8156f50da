"""Long reads of SQLite: on threads and connections of their own, each for a limited time.

SQLite releases Python's interpreter lock while it works, so the event loop runs on meanwhile. One core is left to
the event loop.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from souk.faults import INERT
from souk.kernel.clock import Clock
from souk.store.database import Work
from souk.store.sqlite.errors import translate
from souk.store.sqlite.transaction import SqliteSnapshot
from souk.store.work_runner import run_inline

T = TypeVar("T")

THREADS = max(1, min(2, (os.cpu_count() or 1) - 1))
LONGEST_READ = 1.0
"""Seconds after which a long read is ended, including the wait for a thread."""
_STEPS_BETWEEN_CHECKS = 10_000
"""Instructions of SQLite's virtual machine between two checks of the time; they take well below a millisecond."""


class LongReads:
    """Runs reads on threads beside the event loop; `connect` opens a read-only connection.

    A read may take `longest` seconds, including its wait for a thread.
    """

    def __init__(
        self, name: str, connect: Callable[[], sqlite3.Connection], clock: Clock, longest: float = LONGEST_READ
    ) -> None:
        self._name = name
        self._connect = connect
        self._clock = clock
        self._longest = longest
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix=f"read-{name}")
        self._free: list[sqlite3.Connection] = []

    async def read(self, work: Work[T]) -> T:
        """Runs `work` and returns its result. Raises StoreUnavailable when it takes too long."""
        until = self._clock.monotonic() + self._longest
        context, loop = copy_context(), asyncio.get_running_loop()
        result: T = await loop.run_in_executor(self._pool, lambda: context.run(self._read, work, until))
        return result

    async def close(self) -> None:
        """Waits for running reads, then closes the connections."""
        await asyncio.to_thread(self._pool.shutdown)
        while self._free:
            self._free.pop().close()

    def _read(self, work: Work[T], until: float) -> T:
        try:
            connection = self._free.pop()
        except IndexError:
            connection = self._connect()
        try:
            return self._on(connection, work, until)
        finally:
            self._free.append(connection)

    def _on(self, connection: sqlite3.Connection, work: Work[T], until: float) -> T:
        connection.set_progress_handler(lambda: self._clock.monotonic() >= until, _STEPS_BETWEEN_CHECKS)
        tx = SqliteSnapshot(connection, self._name, INERT)
        try:
            connection.execute("BEGIN")
            return finish(work, tx)
        except sqlite3.Error as error:
            raise translate(error, self._name) from error
        finally:
            connection.set_progress_handler(None, 0)
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def finish(work: Work[T], tx: SqliteSnapshot) -> T:
    """Runs the work of a read to its end on this thread, and raises the error of a statement, if one failed."""
    try:
        result = run_inline(work, tx)
    finally:
        failure = tx.end()
    if failure is not None:
        raise failure
    return result
