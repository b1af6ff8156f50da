"""The database port: thin, over the drivers.

Guarantees, the same for every adapter and proved by `souk.testing.store_suite`:

- `run(fn)` calls `fn(tx)` inside one read-write transaction and returns what it returned, once that
  is durable. It is atomic and serialised against every other `run` that touches the same rows. The
  function may be called again (busy, deadlock, serialisation failure), so all that it does is
  through `tx`; it awaits nothing else (`ForeignAwait`), and a channel call inside it raises.
- `run(fn, guarded=True)` may serialise less: only transactions that write the same row or the same
  unique key. The caller promises that whatever `fn` decides on what it read is guarded by such a
  write, or by `tx.lock`. It is for busy places; why and where: docs/decisions/0002-isolation.md.
- `read(fn)` calls `fn(tx)` on a consistent snapshot that sees everything whose `run` had returned.
- `read(fn, single=True)` is for an `fn` of one statement: that is a snapshot by itself, and is spared
  the transaction around it. A second statement raises StoreError.
- `read(fn, long=True)` is for what somebody outside can make long, such as a search: it holds up nothing else of
  the process. SQLite gives it up after a second (StoreUnavailable), and calls `fn` on another thread.
- An exception out of `fn` rolls back that transaction alone, and is raised to its caller.
- `tx.after_commit(f)` calls `f()` on the event loop once the transaction is durable, never before
  and never after a roll-back; in a fresh context, so that what it starts does not act for the caller.
- Parameters are `$1`, `$2`, ... by number, in any order and as often as needed. Rows are read by
  column name. Values are int, str, bytes, bool, float and None; times are integer microseconds,
  money is integer minor units.

SQL is written once where SQLite and PostgreSQL agree (`INSERT ... ON CONFLICT`, `RETURNING`,
BIGINT, TEXT, BYTEA). What truly differs is in `Dialect`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Value = int | str | bytes | bool | float | None
"""What a statement can be given for a parameter, and what a column can hold."""


class Row(Protocol):
    """One row, by column name."""

    def __getitem__(self, column: str, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """SQL that differs between engines.

    `for_update` locks the selected rows until the transaction ends; `skip_locked` besides passes
    over rows that somebody else holds. Both go at the end of a SELECT and are empty where a
    transaction is alone anyway. `now` is the database's clock in microseconds since 1970. `hold` is a
    condition that is true once the transaction holds the lock that the text in its braces names: of a
    statement that reads nothing, since that sees the data as it was before the wait.
    """

    name: str
    for_update: str
    skip_locked: str
    now: str
    hold: str


class Transaction(Protocol):
    """A transaction that is open."""

    @property
    def dialect(self) -> Dialect: ...

    async def execute(self, sql: str, *values: Value, expect_rows: int | None = None) -> int:
        """Runs one statement; returns how many rows it changed.

        `expect_rows` is how many that is nearly always. It may be told without asking, so that the
        transaction needs fewer round trips; where it turns out wrong, the work is called again.
        """
        ...

    async def write(self, sql: str, *values: Value) -> None:
        """Runs one statement of which nobody asks what it did; its error may come later, at the commit at last.

        It is there for every statement after it, and may reach the database in one with the next.
        """
        ...

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Runs one statement once for each row of values."""
        ...

    async def fetch(self, sql: str, *values: Value) -> list[Row]:
        """All rows of a SELECT, or of a RETURNING."""
        ...

    async def fetch_one(self, sql: str, *values: Value) -> Row | None:
        """The first row, if there is one."""
        ...

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Calls back on the event loop once the transaction is durable."""
        ...

    async def notify(self, channel: str) -> None:
        """Wakes every `Database.listen(channel)`, in any process on this database, after the commit."""
        ...

    async def lock(self, name: str) -> None:
        """Holds a lock of that name until the transaction ends; others wait for it.

        What is read after it is what the one before left. That may cost a new start of the transaction.
        """
        ...


Work = Callable[[Transaction], Awaitable[T]]
"""What runs inside one transaction; it may be called again, so it does everything through the transaction."""


class Database(Protocol):
    """One service's database."""

    @property
    def dialect(self) -> Dialect: ...

    async def run(self, work: Work[T], *, guarded: bool = False) -> T:
        """Runs `work` in a transaction; returns its result once it is durable.

        Raises StoreUnavailable when the database is away, full or locked for too long, StoreCorrupt
        when its file is damaged, ForeignAwait when `work` waited for anything else, and whatever
        `work` itself raised.
        """
        ...

    async def read(self, work: Work[T], *, single: bool = False, long: bool = False) -> T:
        """Runs `work` on a consistent snapshot; a write in it raises StoreError."""
        ...

    def listen(self, channel: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls `callback` after each commit that notified `channel`; returns how to stop.

        A wake-up may be lost when the connection is: whoever listens also polls, now and then.
        """
        ...

    async def close(self) -> None:
        """Waits for running transactions, then closes every connection."""
        ...
