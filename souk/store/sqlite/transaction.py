"""The transactions of SQLite; their statements run at once, on the calling thread."""

import re
import sqlite3
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

from souk.faults import Faults
from souk.kernel.errors import StoreError
from souk.store.database import Dialect, Row, Value
from souk.store.read_only import ReadOnly
from souk.store.sqlite.errors import DRIVER_ERRORS, translate

R = TypeVar("R")

DIALECT = Dialect(
    name="sqlite", for_update="", skip_locked="", now="souk_now()", hold="TRUE OR {} = ''", unsynced="TRUE"
)

_MOST_PARAMETERS = 32_766
_NAMES = tuple(str(number) for number in range(1, _MOST_PARAMETERS + 1))


@lru_cache(maxsize=2048)
def _parameters(sql: str) -> int:
    return max((int(number) for number in re.findall(r"\$(\d+)", sql)), default=0)


def bind(sql: str, values: Sequence[Value]) -> dict[str, Value]:
    """Returns the values by the names that SQLite gives to `$1`, `$2`, ...

    Values are never bound as a sequence: SQLite numbers parameters by their first appearance, so `$2 ... $1`
    would swap them silently. Raises ValueError if the number of values is wrong.
    """
    if _parameters(sql) != len(values):
        raise ValueError(f"the statement has {_parameters(sql)} parameters and was given {len(values)} values")
    return dict(zip(_NAMES, values, strict=False))


def _changed(cursor: sqlite3.Cursor) -> int:
    if cursor.description is not None:  # a RETURNING counts its rows only once they are read
        cursor.fetchall()
    return max(cursor.rowcount, 0)


def _all(cursor: sqlite3.Cursor) -> list[Row]:
    return cursor.fetchall()


def _first(cursor: sqlite3.Cursor) -> Row | None:
    row: Row | None = cursor.fetchone()
    return row


class SqliteTransaction:
    """Implements `Transaction`. After a statement has failed, every later one fails, too, as in PostgreSQL."""

    reading = False

    def __init__(self, connection: sqlite3.Connection, name: str, faults: Faults) -> None:
        self._connection = connection
        self._name = name
        self._faults = faults
        self._ended: StoreError | None = None
        self.callbacks: list[Callable[[], None]] = []
        self.channels: set[str] = set()

    @property
    def dialect(self) -> Dialect:
        return DIALECT

    async def execute(self, sql: str, *values: Value, expect_rows: int | None = None) -> int:
        return self._call(sql, values, _changed)

    async def write(self, sql: str, *values: Value) -> None:
        self._call(sql, values, _changed)

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        self._require_open()
        self._faults.point("store.statement")
        try:
            self._connection.executemany(sql, (bind(sql, row) for row in rows))
        except DRIVER_ERRORS as error:
            raise self._fail(error) from error

    async def fetch(self, sql: str, *values: Value) -> list[Row]:
        return self._call(sql, values, _all)

    async def fetch_one(self, sql: str, *values: Value) -> Row | None:
        return self._call(sql, values, _first)

    def after_commit(self, callback: Callable[[], None]) -> None:
        self._require_open()
        self.callbacks.append(callback)

    async def notify(self, channel: str) -> None:
        self._require_open()
        self.channels.add(channel)

    async def lock(self, name: str) -> None:
        self._require_open()  # and nothing else: a SQLite file has one writer at a time

    def end(self) -> StoreError | None:
        """Refuses every further statement; returns the error of a failed one, which the work may have swallowed."""
        failure, self._ended = self._ended, StoreError("the transaction has ended")
        return failure

    def _call(self, sql: str, values: Sequence[Value], take: Callable[[sqlite3.Cursor], R]) -> R:
        self._require_open()
        self._faults.point("store.statement")
        try:
            return take(self._connection.execute(sql, bind(sql, values)))
        except DRIVER_ERRORS as error:
            raise self._fail(error) from error

    def _fail(self, error: BaseException) -> StoreError:
        self._ended = translate(error, self._name, reading=self.reading)
        return self._ended

    def _require_open(self) -> None:
        if self._ended is not None:
            raise self._ended


class SqliteSnapshot(ReadOnly, SqliteTransaction):
    """The transaction of a `read`: it commits nothing, so it refuses to notify and to lock."""


class SqliteSingleRead(SqliteSnapshot):
    """The transaction of a `read` of one statement, which is its own snapshot."""

    _asked = False

    def _call(self, sql: str, values: Sequence[Value], take: Callable[[sqlite3.Cursor], R]) -> R:
        if self._asked:
            self._ended = self._ended or StoreError("a single read is one statement")
        self._asked = True
        return super()._call(sql, values, take)
