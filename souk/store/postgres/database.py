"""The database port on PostgreSQL: SERIALIZABLE transactions over asyncpg, run again when they collide.

Why SERIALIZABLE, and what it costs: docs/decisions/0002-isolation.md.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

import asyncpg

from souk.faults import INERT, Faults
from souk.kernel.errors import ForeignAwait
from souk.kernel.transaction_guard import in_transaction
from souk.resilience.backoff import Backoff
from souk.store.database import Dialect, PreparedTransactions, Value, Work
from souk.store.listeners import Listeners, call_all
from souk.store.postgres.attempt import Attempt, Collision
from souk.store.postgres.connection import Borrowed, closing, drop, dropped_on_failure, roll_back, undisturbed, unlock
from souk.store.postgres.errors import DRIVER_ERRORS, is_about_data, is_refusal, may_run_again, refused, translate
from souk.store.postgres.group_commit import CommitGroups, GroupedTransaction, NotGrouped
from souk.store.postgres.listener import PostgresListener
from souk.store.postgres.open_transactions import outlast
from souk.store.postgres.prepared import PostgresPrepared
from souk.store.postgres.session import Sessions, leaves_of
from souk.store.postgres.transaction import (
    DIALECT,
    Connection,
    NeedsLock,
    PostgresSingleRead,
    PostgresSnapshot,
    PostgresTransaction,
)
from souk.store.postgres.write_batch import Doubts, Statement, WrongAssumption
from souk.store.work_runner import Driven
from souk.telemetry.tracing.leaves import PREPARE, READ, TRANSACTION, Leaves, leaf
from souk.telemetry.tracing.tracer import Tracer

T = TypeVar("T")

_BEGIN_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_AGAIN = Backoff(initial=0.001, cap=0.064)
_CHANCE = Random()
_LOCK = "SELECT pg_advisory_lock(hashtextextended($1, 0))"


class PostgresDatabase:
    """Implements `Database` on a pool of connections. Belongs to the event loop that opened it."""

    def __init__(
        self,
        name: str,
        pool: "asyncpg.Pool[asyncpg.Record]",
        listeners: Listeners,
        patience: float,
        faults: Faults,
        leaves: Leaves | None = None,
    ) -> None:
        self._name, self._leaves = name, leaves
        self._pool = pool
        self._listeners = listeners
        self._patience, self._faults = patience, faults
        self._listener: PostgresListener | None = None
        self.tries_again = 0
        """How often transactions were run again because they had collided with others."""
        self._loop = asyncio.get_running_loop()
        self._doubts = Doubts(self._loop.time)
        self._groups = CommitGroups(name, self._connected, 2 * patience)

    @classmethod
    async def open(
        cls,
        dsn: str,
        *,
        least: int = 1,
        most: int = 10,
        patience: float = 5.0,
        faults: Faults = INERT,
        tracer: Tracer | None = None,
    ) -> "PostgresDatabase":
        """Connects to the database at `dsn`; the pool holds `least` to `most` connections.

        `patience` is how long, in seconds, a transaction waits for a connection or a lock, and how long it is tried
        again. `tracer` records transactions. Raises ConfigurationError when the database refuses the connection,
        StoreUnavailable when it cannot be reached.
        """
        name, listeners, sessions = urlsplit(dsn).path.lstrip("/"), Listeners(), Sessions(dsn, patience)
        try:
            pool = await sessions.pool(least, most)
        except DRIVER_ERRORS as error:
            raise refused(error, name) from error
        database = cls(name, pool, listeners, patience, faults, leaves_of(tracer, dsn))
        await database._start(sessions)
        return database

    @property
    def dialect(self) -> Dialect:
        return DIALECT

    @property
    def prepared(self) -> PreparedTransactions:
        return PostgresPrepared(self._name, self._prepare, self._connected, self._patience, self._leaves)

    async def _prepare(self, work: Work[T], ending: str) -> T:
        attempt = Attempt(guarded=True, ending=ending)
        with leaf(self._leaves, PREPARE, attempt):
            return await self._retrying(lambda: self._attempt(work, attempt), attempt)

    async def run(self, work: Work[T], *, guarded: bool = False, grouped: bool = False) -> T:
        attempt = Attempt(guarded, grouped=grouped and guarded)
        with leaf(self._leaves, TRANSACTION, attempt):
            return await self._retrying(lambda: self._attempt(work, attempt), attempt)

    async def read(self, work: Work[T], *, single: bool = False, long: bool = False) -> T:
        attempt, how = self._attempt_single if single else self._attempt_read, Attempt(guarded=True)
        with leaf(self._leaves, READ, how):
            return await self._retrying(lambda: attempt(work), how)

    def listen(self, channel: str, callback: Callable[[], None]) -> Callable[[], None]:
        return self._listeners.add(channel, callback)

    async def outlast_open(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        await outlast(self, self._name, meanwhile)

    async def close(self) -> None:
        async with closing(self, self._name):
            await self._groups.close()
            if self._listener is not None:
                await self._listener.stop()
            await self._pool.close()

    def terminate(self) -> None:
        """Drops every connection at once, without a word to the server."""
        if self._listener is not None:
            self._listener.terminate()
        drop(self._pool)

    def connections(self) -> tuple[int, int, int]:
        """Counts the connections that are in use, those that are idle, and how many there may be."""
        idle = self._pool.get_idle_size()
        return self._pool.get_size() - idle, idle, self._pool.get_max_size()

    async def _start(self, sessions: Sessions) -> None:
        # A notification may be lost in a crash anyway, so it need not wait for the disk.
        self._listener = PostgresListener(
            lambda: sessions.connect("SET synchronous_commit = off"), self._listeners, self._name
        )
        try:
            with dropped_on_failure(self):
                async with self._connected() as connection:
                    await sessions.require_own(connection, self._name)
                await self._listener.start()
        except DRIVER_ERRORS as error:
            raise refused(error, self._name) from error

    async def _retrying(self, attempt: Callable[[], Awaitable[T]], how: Attempt) -> T:
        if in_transaction():
            raise ForeignAwait("a transaction may not open another one")
        until = self._loop.time() + self._patience
        while True:
            try:
                return await attempt()
            except NotGrouped:
                how.grouped = False
            except NeedsLock as wish:
                how.grouped = False
                how.locks.add(wish.name)
            except WrongAssumption as wrong:
                how.assuming = False
                self._doubts.add(wrong.statements)
            except Collision as collision:
                self.tries_again += 1
                if self._loop.time() > until:
                    raise translate(collision.cause, self._name) from collision.cause
                how.collisions += 1
                await asyncio.sleep(_AGAIN.delay(how.collisions, _CHANCE))

    async def _attempt(self, work: Work[T], how: Attempt) -> T:
        if how.grouped:
            return await self._attempt_grouped(work, how)
        async with self._connected() as connection:
            try:
                await self._hold(connection, how.locks)
                return await self._attempt_on(connection, work, how)
            finally:
                if how.locks:
                    await undisturbed(unlock(connection))

    async def _attempt_on(self, connection: Connection, work: Work[T], how: Attempt) -> T:
        assuming = partial(self._assumes, how)
        tx = PostgresTransaction(
            connection, self._name, self._faults, begin=how.begin, held=how.locks, assuming=assuming
        )
        try:
            result = await self._drive(lambda _: how.whole(work, tx), tx)
        except BaseException as error:
            if tx.begun:
                await undisturbed(roll_back(connection))
            if tx.batch.assumed and isinstance(error, Exception):
                # The error may follow from an assumption that is wrong, so the work runs again without assumptions.
                raise WrongAssumption(tx.batch.assumed) from error
            raise
        await undisturbed(self._commit(connection, tx, how.ending))
        return result

    async def _attempt_grouped(self, work: Work[T], how: Attempt) -> T:
        tx = GroupedTransaction(self._name, self._faults, partial(self._assumes, how))
        try:
            result = await self._drive(work, tx)
        except Exception as error:
            raise NotGrouped from error  # it may follow from an assumption that is wrong
        self._faults.point("store.commit")

        def committed(together: int) -> None:
            how.together = together
            self._committed(tx)

        if tx.batch:
            await undisturbed(self._groups.commit(tx.batch.taken(strict=True), committed))
        else:
            self._committed(tx)
        return result

    def _assumes(self, how: Attempt, sql: str) -> bool:
        return how.assuming and not self._doubts.about(sql)

    async def _attempt_read(self, work: Work[T]) -> T:
        async with self._connected() as connection:
            try:
                await self._execute(connection, _BEGIN_SNAPSHOT)
                return await self._drive(work, PostgresSnapshot(connection, self._name, INERT))
            finally:
                await undisturbed(roll_back(connection))

    async def _attempt_single(self, work: Work[T]) -> T:
        async with self._connected() as connection:
            return await self._drive(work, PostgresSingleRead(connection, self._name, INERT))

    async def _drive(self, work: Work[T], tx: PostgresTransaction) -> T:
        """Runs the work; an error of the database takes precedence over what the work returned or raised after it."""
        try:
            result: T = await Driven(work, tx, tx.in_database)
        except Exception:
            if tx.collision is not None:
                raise Collision(tx.collision) from None
            raise
        finally:
            failure = tx.end()
        if tx.collision is not None:
            raise Collision(tx.collision)
        if failure is not None:
            raise failure
        return result

    async def _commit(self, connection: Connection, tx: PostgresTransaction, ending: str) -> None:
        """Commits: by `ending`, or by the one statement that is the whole transaction and commits by itself."""
        assumed = tx.batch.assumed
        last = Statement(ending, ()) if tx.begun else tx.batch.taken(strict=True) if tx.batch else None
        self._faults.point("store.commit")
        if last is not None:
            try:
                await connection.execute(last.sql, *last.values, timeout=2 * self._patience)
            except DRIVER_ERRORS as error:
                if assumed and is_about_data(error):
                    raise WrongAssumption(assumed) from error  # the strict check failed, or data that depends on it
                await self._not_committed(connection, tx, error)
        self._committed(tx)

    def _committed(self, tx: PostgresTransaction) -> None:
        self._faults.point("store.committed")
        call_all(tx.callbacks, self._name)
        if tx.channels and self._listener is not None:
            self._listener.notify(tx.channels)

    async def _not_committed(self, connection: Connection, tx: PostgresTransaction, error: BaseException) -> NoReturn:
        if may_run_again(error):
            if tx.begun:
                await roll_back(connection)
            raise Collision(error) from error
        if tx.begun or not is_refusal(error):
            drop(connection)  # it is not known whether it was committed, so it must never run again
        raise translate(error, self._name) from error

    async def _execute(self, connection: Connection, sql: str, *values: Value) -> None:
        try:
            await connection.execute(sql, *values)
        except DRIVER_ERRORS as error:
            raise translate(error, self._name) from error

    def _connected(self) -> Borrowed:
        return Borrowed(self._pool, self._name, self._patience)

    async def _hold(self, connection: Connection, locks: set[str]) -> None:
        """Takes the advisory locks in sorted order, before the transaction's snapshot is taken."""
        for name in sorted(locks):
            await self._execute(connection, _LOCK, name)
