"""Group commit: many transactions, one BEGIN IMMEDIATE, one COMMIT, one fsync.

    idle --run--> gather: BEGIN, each member in its savepoint --> commit (on a thread) --> settle
                    ^                                                                        |
                    '---------------- transactions that came in the meantime ----------------'

Everything but the COMMIT happens on the event loop's thread, in callbacks that cannot be cancelled.
While the COMMIT runs, nothing else touches the connection. The result of a member, also an error, is
delivered only after the COMMIT, because it may depend on what another member wrote.
"""

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from souk.faults import Faults
from souk.kernel.errors import StoreError, StoreUnavailable
from souk.resilience.backoff import Backoff
from souk.store.database import Work
from souk.store.listeners import Listeners, call_all
from souk.store.sqlite.commit_thread import CommitThread
from souk.store.sqlite.errors import code_of, translate
from souk.store.sqlite.same_file import identity_of
from souk.store.sqlite.transaction import SqliteTransaction
from souk.store.work_runner import run_inline

_LONGEST_GATHERING = 0.005  # seconds of the event loop; the rest goes into the next batch
_BUSY = Backoff(initial=0.005, cap=0.1, jitter=0.0)


@dataclass(slots=True)
class BatchMember:
    """One transaction of a batch. Its work runs in the context of the code that submitted it. `together` counts the
    transactions that were committed with it, which never collide with each other."""

    work: Work[Any]
    future: asyncio.Future[Any]
    context: Context = field(default_factory=copy_context)
    result: Any = None
    error: BaseException | None = None
    tx: SqliteTransaction | None = None
    together: int = 0
    collisions: int = 0

    def settle(self, failure: StoreError | None) -> None:
        """Resolves the future with the result or the error; a failure of the batch comes before the member's own."""
        if self.future.done():  # cancelled while waiting: the transaction is committed all the same
            return
        if failure is not None:
            self.future.set_exception(type(failure)(*failure.args))  # many tasks raise it, each a copy of its own
        elif self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class _BatchError(Exception):
    """SQLite has rolled back the transaction around all members."""

    def __init__(self, failure: StoreError) -> None:
        super().__init__(str(failure))
        self.failure = failure


class GroupCommit:
    """The only writer of a SQLite file: runs transactions in batches, each with one COMMIT."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        listeners: Listeners,
        *,
        patience: float,
        faults: Faults,
        strike: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._name = path.name
        self._path, self._identity = path.absolute(), identity_of(path)
        self._listeners = listeners
        self._patience = patience
        self._faults = faults
        self._strike = strike
        self._loop = asyncio.get_running_loop()
        self._thread = CommitThread(path.name)
        self._waiting: deque[BatchMember] = deque()
        self._batch: list[BatchMember] = []
        self._busy = False
        self._closed = False
        self._idle: list[asyncio.Future[None]] = []

    def submit(self, work: Work[Any]) -> BatchMember:
        """Puts `work` into the next batch; the member's future is done once that batch has ended.

        Raises StoreUnavailable when the writer is closed.
        """
        if self._closed:
            raise StoreUnavailable(f"database {self._name} is closed")
        member = BatchMember(work, self._loop.create_future())
        self._waiting.append(member)
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._begin, self._loop.time() + self._patience)
        return member

    async def close(self) -> None:
        """Waits for the submitted transactions to end, then closes the connection."""
        self._closed = True
        if self._busy:
            self._idle.append(self._loop.create_future())
            await self._idle[-1]
        await self._thread.stop(self._connection.close)

    def _begin(self, until: float, tries: int = 1) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if code_of(error) == sqlite3.SQLITE_BUSY and self._loop.time() < until:
                self._loop.call_later(_BUSY.longest(tries), self._begin, until, tries + 1)
                return
            self._batch, self._waiting = list(self._waiting), deque()
            self._end_batch(translate(error, self._name))
        else:
            self._gather()

    def _gather(self) -> None:
        until = self._loop.time() + _LONGEST_GATHERING
        try:
            self._run_next()
            while self._waiting and self._loop.time() < until:
                self._run_next()
            self._thread.submit(self._commit, self._committed)
        except _BatchError as ended:
            self._end_batch(ended.failure)
        except Exception as error:  # the batch itself failed: its members must not wait for ever
            self._end_batch(translate(error, self._name))

    def _run_next(self) -> None:
        member = self._waiting.popleft()
        if member.future.done():  # cancelled before its turn: it does not run
            return
        self._batch.append(member)
        self._connection.execute("SAVEPOINT member")
        member.context.run(self._run, member)
        if member.error is not None:
            self._connection.execute("ROLLBACK TO member")
        # The savepoint is not released: COMMIT releases all, which saves a statement for each member.

    def _run(self, member: BatchMember) -> None:
        tx = member.tx = SqliteTransaction(self._connection, self._name, self._faults)
        try:
            member.result = run_inline(member.work, tx)
        except BaseException as error:  # of any kind: it is raised to the code that submitted the work
            member.error = error
        failure = tx.end()
        member.error = member.error or failure
        if not self._connection.in_transaction:
            raise _BatchError(failure or StoreError(f"database {self._name}: the work ended the transaction around it"))

    def _commit(self) -> None:
        self._require_same_file()
        self._faults.point("store.commit")
        self._connection.execute("COMMIT")
        self._faults.point("store.committed")

    def _require_same_file(self) -> None:
        """Raises StoreUnavailable if the file was removed or replaced: a commit to the old file would be lost, although
        it would be reported as done."""
        if identity_of(self._path) != self._identity:
            raise StoreUnavailable(f"database {self._name} was removed or replaced while it is open")

    def _committed(self, error: BaseException | None) -> None:
        if error is None:
            self._end_batch(None)
            return
        if code_of(error) == sqlite3.SQLITE_IOERR:
            # After a failed fsync it is not known what is on the disk, and a second fsync may report success.
            # Only a new process, which reads the file again, can tell.
            self._strike(f"database {self._name}: the disk failed during a commit: {error}")
        self._end_batch(error if isinstance(error, StoreError) else translate(error, self._name))

    def _end_batch(self, failure: StoreError | None) -> None:
        batch, self._batch = self._batch, []
        if failure is None:
            self._announce(batch)
        else:
            self._roll_back()
        for member in batch:
            member.together = len(batch)
            member.settle(failure)
        if self._waiting:
            self._loop.call_soon(self._begin, self._loop.time() + self._patience)
        else:
            self._rest()

    def _announce(self, batch: list[BatchMember]) -> None:
        kept = [member.tx for member in batch if member.error is None and member.tx is not None]
        call_all([callback for tx in kept for callback in tx.callbacks], self._name)
        call_all(self._listeners.of({channel for tx in kept for channel in tx.channels}), self._name)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # if the transaction stays open, the next BEGIN fails
                self._connection.execute("ROLLBACK")

    def _rest(self) -> None:
        self._busy = False
        for future in self._idle:
            if not future.done():
                future.set_result(None)
