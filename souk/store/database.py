"""The database port: a thin interface over the drivers.

Guarantees, the same for every adapter and proved by `souk.testing.store.suite`:

- `run(fn)` calls `fn(tx)` inside one read-write transaction and returns its result once the transaction is
  durable. The transaction is atomic, and serialised against every other `run` that touches the same rows.
  `fn` may be called again (busy, deadlock, serialisation failure), so it must act only through `tx`. If it
  awaits anything else, `run` raises ForeignAwait; a channel call inside it raises, too.
- `run(fn, guarded=True)` may serialise less: only transactions that write the same row or the same
  unique key. The caller promises that every decision that `fn` bases on a read is guarded by such a
  write, or by `tx.lock`. It is for code under heavy load; why and where: docs/decisions/0002-isolation.md.
- `run(fn, guarded=True, grouped=True)` may be committed together with others, so that they share a wait for the disk:
  all of them or none. If none is, each runs again by itself, so one that fails still fails alone. It is for work
  that only writes, to rows that hardly any other transaction wants: docs/decisions/0068-group-commit.md.
- `read(fn)` calls `fn(tx)` on a consistent snapshot that includes every transaction whose `run` had returned.
- `read(fn, single=True)` is for an `fn` of one statement: a statement is a snapshot by itself and needs no
  transaction around it. A second statement raises StoreError.
- `read(fn, long=True)` is for reads that a client can make long, such as a search: it does not block the rest of
  the process. SQLite ends it after a second (StoreUnavailable), and calls `fn` on another thread.
- An exception from `fn` rolls back that transaction alone, and is raised to its caller.
- `tx.after_commit(f)` calls `f()` on the event loop once the transaction is durable, never before
  and never after a roll-back. It runs in a fresh context, so that what it starts does not act for the caller.
- `outlast_open` returns when no transaction is left that began before it was called.
- Parameters are `$1`, `$2`, ... by number, in any order and as often as needed. Rows are read by
  column name. Values are int, str, bytes, bool, float and None; times are integer microseconds,
  money is integer minor units.

SQL is written once where SQLite and PostgreSQL agree (`INSERT ... ON CONFLICT`, `RETURNING`,
BIGINT, TEXT, BYTEA). The differences are in `Dialect`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Value = int | str | bytes | bool | float | None
"""The types of a statement's parameters and of a column's values."""


class Row(Protocol):
    """One row, whose values are read by column name."""

    def __getitem__(self, column: str, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """The SQL that differs between engines.

    `for_update` locks the selected rows until the transaction ends; `skip_locked` also skips rows that another
    transaction has locked. Both go at the end of a SELECT and are empty for an engine that runs one transaction at
    a time. `now` is the database's clock in microseconds since 1970. `hold` is a condition that becomes true when
    the transaction holds the lock that the SQL expression in its braces names. It is only for statements that read
    nothing, because a statement sees the data as it was before the wait for the lock. `unsynced` is a condition that is
    always true. The commit of a transaction with a statement that looks at it does not wait for the disk, so that a
    crash of the database's server may undo it; a later commit that waits makes it durable, too.
    """

    name: str
    for_update: str
    skip_locked: str
    now: str
    hold: str
    unsynced: str


class Transaction(Protocol):
    """An open transaction."""

    @property
    def dialect(self) -> Dialect: ...

    async def execute(self, sql: str, *values: Value, expect_rows: int | None = None) -> int:
        """Runs one statement; returns how many rows it changed.

        `expect_rows` is the number that it changes nearly always. An adapter may return this number without waiting
        for the database, to save a round trip; if it turns out wrong, the work is called again.
        """
        ...

    async def write(self, sql: str, *values: Value) -> None:
        """Runs one statement whose result is not needed; its error may come later, at the latest at the commit.

        Every later statement sees its effect. It may be sent to the database together with the next statement.
        """
        ...

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Runs one statement once for each row of values."""
        ...

    async def fetch(self, sql: str, *values: Value) -> list[Row]:
        """Returns all rows of a SELECT, or of a RETURNING."""
        ...

    async def fetch_one(self, sql: str, *values: Value) -> Row | None:
        """Returns the first row, or None if there is none."""
        ...

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Calls `callback` on the event loop once the transaction is durable."""
        ...

    async def notify(self, channel: str) -> None:
        """Wakes every `Database.listen(channel)` after the commit, in all processes that use this database."""
        ...

    async def lock(self, name: str) -> None:
        """Holds the lock of that name until the transaction ends; other transactions wait for it.

        Later reads see what the previous holder committed. For that the transaction may have to start again.
        """
        ...


Work = Callable[[Transaction], Awaitable[T]]
"""The function that runs inside one transaction; it may be called again, so it must act only through `tx`."""


@dataclass(frozen=True, slots=True)
class PreparedTransaction:
    """One that was neither committed nor rolled back; `age` is in seconds, by the database's clock."""

    name: str
    age: float


class PreparedTransactions(Protocol):
    """The prepared transactions of one database, for an engine that can take part in a two-phase commit.

    A prepared transaction is durable, and neither committed nor rolled back. It belongs to no connection, survives a
    crash of the server, and keeps every lock that it has taken until somebody commits it or rolls it back; for ever if
    nobody does. Only `souk.two_phase_commit` uses them. A name is 1 to 120 characters: letters, digits and `:._-`."""

    async def limit(self) -> int:
        """Returns how many there may be at once on the whole server; 0 if it takes none."""
        ...

    async def prepare(self, name: str, work: Work[T]) -> T:
        """Runs `work` in a transaction as `Database.run(guarded=True)` does, and prepares it under `name`.

        Raises as `run` does; then nothing is prepared, except that after StoreUnavailable it may be. `work` may
        neither notify, nor lock by name, nor call `after_commit`: these end with the transaction (StoreError).
        """
        ...

    async def commit(self, name: str) -> bool:
        """Commits the prepared transaction; returns False if there is none of that name. Raises StoreUnavailable."""
        ...

    async def roll_back(self, name: str) -> bool:
        """Rolls it back; returns False if there is none of that name. Raises StoreUnavailable."""
        ...

    async def standing(self) -> list[PreparedTransaction]:
        """Returns those that were prepared here and have not ended, the oldest first."""
        ...


class Database(Protocol):
    """The database of one service; the module lists the guarantees."""

    @property
    def dialect(self) -> Dialect: ...

    @property
    def prepared(self) -> PreparedTransactions | None:
        """Its prepared transactions; None for an engine that has none."""
        ...

    async def run(self, work: Work[T], *, guarded: bool = False, grouped: bool = False) -> T:
        """Runs `work` in a transaction; returns its result once it is durable.

        Raises StoreUnavailable when the database is away, full or locked for too long, StoreCorrupt
        when its file is damaged, ForeignAwait when `work` awaited anything but its transaction, and any
        exception that `work` raised.
        """
        ...

    async def read(self, work: Work[T], *, single: bool = False, long: bool = False) -> T:
        """Runs `work` on a consistent snapshot; a write in it raises StoreError."""
        ...

    def listen(self, channel: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls `callback` after each commit that notified `channel`; returns a function that stops it.

        A notification may be lost together with the connection, so a listener must also poll now and then.
        """
        ...

    async def outlast_open(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        """Waits until every transaction of a writer that is open now has ended, whichever process runs it.

        So each transaction that ends later has seen what was committed before the call. No other transaction waits.
        `meanwhile` is awaited now and then. Raises StoreUnavailable when a transaction stays open for a minute.
        """
        ...

    async def close(self) -> None:
        """Waits for running transactions, then closes every connection."""
        ...


@dataclass(frozen=True, slots=True)
class RowChange:
    """A change of a row that keeps its history: `what` was so from `at` on, in microseconds by the database's clock."""

    at: int
    what: str


def history_line(now: str, what: str) -> str:
    """Returns SQL for a line of a row's history: a text in the row itself, of tables that hold what is true now.

    The statement that changes the row adds the line, so that neither can be without the other. `now` is SQL for the
    time (`Dialect.now`), and `what` for a text without line breaks.
    """
    return f"CAST({now} AS TEXT) || ' ' || {what} || '\n'"


def changes_of(history: str) -> list[RowChange]:
    """Reads a history, the first change first. It is empty for a row that is older than its history."""
    found = []
    for line in history.splitlines():
        at, _, what = line.partition(" ")
        found.append(RowChange(int(at), what))
    return found
