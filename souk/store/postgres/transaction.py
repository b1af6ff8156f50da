"""The transactions of PostgreSQL: read-write, snapshot, and single read."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeAlias, TypeVar

import asyncpg

from souk.faults import Faults
from souk.kernel.errors import StoreError
from souk.store.database import Dialect, Row, Value
from souk.store.postgres.errors import DRIVER_ERRORS, is_about_data, may_run_again, translate
from souk.store.postgres.sql_merge import can_be_counted, changed_table
from souk.store.postgres.write_batch import Statement, WriteBatch, WrongAssumption
from souk.store.read_only import ReadOnly

R = TypeVar("R")

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

DIALECT = Dialect(
    name="postgres",
    for_update=" FOR UPDATE",
    skip_locked=" FOR UPDATE SKIP LOCKED",
    now="CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)",
    hold="pg_advisory_xact_lock(hashtextextended({}, 0)) IS NOT NULL",
    unsynced="(SELECT set_config('synchronous_commit', 'off', TRUE)) = 'off'",
)

_READS = re.compile(r"\s*SELECT\b(?!.*\bINTO\b)", re.IGNORECASE | re.DOTALL)
_UNCHANGING = ("SELECT", "SHOW")


def changed_rows(tag: str) -> int:
    """Returns the number of changed rows in a command's tag, such as `UPDATE 3` or `INSERT 0 1`."""
    command, _, count = tag.rpartition(" ")
    return int(count) if count.isdigit() and not command.startswith(_UNCHANGING) else 0


async def begin(connection: Connection, sql: str) -> None:
    """Begins a transaction. On a hot standby, which has no serializable transactions, it raises the error of a
    read-only server."""
    try:
        await connection.execute(sql)
    except asyncpg.FeatureNotSupportedError as error:
        raise asyncpg.ReadOnlySQLTransactionError(str(error)) from error


class NeedsLock(BaseException):
    """The work asks for a lock that must be held before the transaction begins.

    It is not an Exception, so that no `except Exception` in the work swallows it.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class PostgresTransaction:
    """Implements `Transaction`. After a statement has failed, every later one fails, too.

    Writes are sent as late as possible, merged with the next statement; BEGIN is sent before the first statement.
    For a statement that `assuming` accepts, `execute` returns `expect_rows` at once; the real number is checked when
    the statement is sent.
    """

    reading = False

    def __init__(
        self,
        connection: Connection,
        name: str,
        faults: Faults,
        *,
        begin: str = "",
        held: Collection[str] = (),
        assuming: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._connection = connection
        self._name = name
        self._faults = faults
        self._begin = begin
        self._held = held
        self._assuming = assuming
        self._ended: StoreError | None = None
        self._owner = asyncio.current_task()
        self._inside = False
        self.collision: BaseException | None = None
        self.callbacks: list[Callable[[], None]] = []
        self.channels: set[str] = set()
        self.batch = WriteBatch()
        self.begun = False
        """Whether BEGIN was sent, or is on its way."""

    @property
    def dialect(self) -> Dialect:
        return DIALECT

    async def execute(self, sql: str, *values: Value, expect_rows: int | None = None) -> int:
        if expect_rows is not None and can_be_counted(sql) and self._assuming(sql):
            await self._put_off(Statement(sql, values, expect_rows))
            return expect_rows
        sql, values = await self._with_batch(sql, values)
        return changed_rows(await self._call(lambda: self._connection.execute(sql, *values)))

    async def write(self, sql: str, *values: Value) -> None:
        if not changed_table(sql):
            await self.execute(sql, *values)
            return
        await self._put_off(Statement(sql, values))

    async def flush(self) -> None:
        """Sends the write batch. Raises WrongAssumption if a statement of it changed other than the expected rows."""
        if not self.batch:
            return
        assumed = self.batch.assumed
        sql, values, _ = self.batch.taken()
        if not assumed:
            await self._call(lambda: self._connection.execute(sql, *values))
            return
        counts = await self._call(lambda: self._connection.fetchrow(sql, *values), assumed)
        if counts is None or tuple(counts) != tuple(one.expect_rows for one in assumed):
            raise self._wrong(assumed)

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        if len(rows) == 1:
            await self.write(sql, *rows[0])
            return
        await self.flush()
        await self._call(lambda: self._connection.executemany(sql, rows))

    async def fetch(self, sql: str, *values: Value) -> list[Row]:
        sql, values = await self._with_batch(sql, values)
        rows: list[Any] = await self._call(lambda: self._connection.fetch(sql, *values))
        return rows

    async def fetch_one(self, sql: str, *values: Value) -> Row | None:
        sql, values = await self._with_batch(sql, values)
        return await self._call(lambda: self._connection.fetchrow(sql, *values))

    def after_commit(self, callback: Callable[[], None]) -> None:
        self._require_open()
        self.callbacks.append(callback)

    async def notify(self, channel: str) -> None:
        self._require_open()
        self.channels.add(channel)

    async def lock(self, name: str) -> None:
        self._require_open()
        if name not in self._held:
            self._ended = StoreError(f"the transaction starts again to wait for lock {name}")
            raise NeedsLock(name)

    def in_database(self) -> bool:
        """Whether the work is waiting for one of this transaction's own statements."""
        return self._inside

    def end(self) -> StoreError | None:
        """Refuses every further statement; returns the error of a failed one, which the work may have swallowed."""
        failure, self._ended = self._ended, StoreError("the transaction has ended")
        return failure

    async def _put_off(self, statement: Statement) -> None:
        self._require_open()
        if not self.batch.takes(statement.sql):
            await self.flush()
        self.batch.add(statement)

    async def _with_batch(self, sql: str, values: tuple[Value, ...]) -> tuple[str, tuple[Value, ...]]:
        """Returns the statement merged with the write batch; if they cannot be merged, sends the batch first."""
        self._require_open()
        if not self.batch:
            return sql, values
        if self.batch.assumed or not self.batch.takes(sql):
            await self.flush()
            return sql, values
        self.batch.add(Statement(sql, values))
        both = self.batch.taken()
        return both.sql, both.values

    def _wrong(self, assumed: Sequence[Statement]) -> WrongAssumption:
        self._ended = StoreError("the transaction starts again: a statement changed more or fewer rows than likely")
        return WrongAssumption(assumed)

    async def _call(self, statement: Callable[[], Awaitable[R]], assumed: Sequence[Statement] = ()) -> R:
        self._require_open()
        self._faults.point("store.statement")
        self._inside = True
        try:
            if not self.begun and self._begin:
                self.begun = True
                await begin(self._connection, self._begin)
            return await statement()
        except DRIVER_ERRORS as error:
            if assumed and is_about_data(error):  # the data may differ because an assumption is wrong
                raise self._wrong(assumed) from error
            self.collision = error if may_run_again(error) else None
            self._ended = translate(error, self._name, reading=self.reading)
            raise self._ended from error
        finally:
            self._inside = False

    def _require_open(self) -> None:
        if self._ended is not None:
            raise self._ended
        if asyncio.current_task() is not self._owner:
            raise StoreError("a transaction belongs to the task that runs its work")


class PostgresSnapshot(ReadOnly, PostgresTransaction):
    """The transaction of a `read`: it commits nothing, so it refuses to notify, to lock and to write."""

    async def write(self, sql: str, *values: Value) -> None:
        raise StoreError("a read writes nothing")


class PostgresSingleRead(PostgresSnapshot):
    """The transaction of a `read` of one statement, which is its own snapshot and needs no BEGIN."""

    reading = False  # there is no read-only transaction here: such an error means that the server is read-only
    _asked = False

    async def _with_batch(self, sql: str, values: tuple[Value, ...]) -> tuple[str, tuple[Value, ...]]:
        # In PostgreSQL a statement that changes data begins with its verb or with WITH, so a SELECT changes none.
        if not _READS.match(sql):
            self._ended = self._ended or StoreError("a single read is a SELECT")
        return await super()._with_batch(sql, values)

    async def _call(self, statement: Callable[[], Awaitable[R]], assumed: Sequence[Statement] = ()) -> R:
        if self._asked:
            self._ended = self._ended or StoreError("a single read is one statement")
        self._asked = True
        return await super()._call(statement, assumed)
