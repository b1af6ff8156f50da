"""What a transaction of PostgreSQL has written and not yet sent: statements that can go as one.

Of some it is assumed how many rows they change (`expect_rows`). An assumption that turns out wrong starts the
transaction again, so a statement is not assumed anything of for a while after that: where stock runs out,
most of them would be wrong.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from souk.store.database import Value
from souk.store.postgres.sql_merge import counted, go_together, sql_merge

DOUBT = 1.0
"""Seconds."""


class Statement(NamedTuple):
    """One statement; `expect_rows` is how many rows the work took it to change, None if it does not care."""

    sql: str
    values: tuple[Value, ...]
    expect_rows: int | None = None


class WriteBatch:
    """Statements that go together, in the order in which they were written."""

    def __init__(self) -> None:
        self._statements: list[Statement] = []

    def __bool__(self) -> bool:
        return bool(self._statements)

    @property
    def assumed(self) -> tuple[Statement, ...]:
        """Those of which something was assumed."""
        return tuple(one for one in self._statements if one.expect_rows is not None)

    def takes(self, sql: str) -> bool:
        """Whether a statement may go in one with all of them."""
        return go_together(tuple(one.sql for one in self._statements), sql)

    def add(self, statement: Statement) -> None:
        """`takes` has said that it may."""
        self._statements.append(statement)

    def taken(self, *, strict: bool = False) -> Statement:
        """All of them as one, and nothing is left. It counts what was assumed; `strict`: it fails where wrong."""
        every, self._statements = self._statements, []
        return _one(every, strict=strict)


def _one(every: Sequence[Statement], *, strict: bool) -> Statement:
    sqls = tuple(one.sql for one in every)
    counts = tuple(len(one.values) for one in every)
    expect_rows = tuple(one.expect_rows for one in every)
    values = tuple(value for one in every for value in one.values)
    if all(asked is None for asked in expect_rows):
        return Statement(sql_merge(sqls, counts), values)
    return Statement(counted(sqls, counts, expect_rows, strict=strict), values)


class WrongAssumption(BaseException):
    """One of these statements did not change as many rows as the work was told that it had.

    Not an Exception, so that no work keeps it to itself.
    """

    def __init__(self, statements: Sequence[Statement]) -> None:
        super().__init__("a statement changed more or fewer rows than likely")
        self.statements = statements


class Doubts:
    """Statements, by their text, of which an assumption was wrong lately."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._until: dict[str, float] = {}

    def about(self, sql: str) -> bool:
        """Whether nothing is to be assumed of it."""
        return bool(self._until) and self._until.get(sql, 0.0) > self._now()

    def add(self, statements: Sequence[Statement]) -> None:
        """Some of these have turned out wrong."""
        self._until.update({one.sql: self._now() + DOUBT for one in statements})
