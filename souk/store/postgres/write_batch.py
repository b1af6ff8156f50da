"""The write batch of a transaction of PostgreSQL: statements that are not yet sent and can be sent as one.

For some statements the number of changed rows is assumed (`expect_rows`). A wrong assumption starts the
transaction again, so after one nothing is assumed for that statement for a while: when stock runs out, most
assumptions would be wrong.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from souk.store.database import Value
from souk.store.postgres.sql_merge import counted, go_together, sql_merge

DOUBT = 1.0
"""Seconds for which nothing is assumed for a statement after a wrong assumption."""


class Statement(NamedTuple):
    """One statement; `expect_rows` is how many rows it is assumed to change, None if nothing is assumed."""

    sql: str
    values: tuple[Value, ...]
    expect_rows: int | None = None


class WriteBatch:
    """Statements that can be sent as one, in the order in which they were written."""

    def __init__(self) -> None:
        self._statements: list[Statement] = []

    def __bool__(self) -> bool:
        return bool(self._statements)

    @property
    def assumed(self) -> tuple[Statement, ...]:
        """The statements whose number of changed rows was assumed."""
        return tuple(one for one in self._statements if one.expect_rows is not None)

    def takes(self, sql: str) -> bool:
        """Whether a statement can be merged with all statements of the batch."""
        return go_together(tuple(one.sql for one in self._statements), sql)

    def add(self, statement: Statement) -> None:
        """Adds a statement for which `takes` has returned True."""
        self._statements.append(statement)

    def taken(self, *, strict: bool = False) -> Statement:
        """Empties the batch and returns its statements as one.

        If rows were assumed, that statement counts them; with `strict` it fails instead if an assumption is wrong.
        """
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
    """One of these statements did not change as many rows as `execute` has returned for it.

    It is not an Exception, so that no `except Exception` in the work swallows it.
    """

    def __init__(self, statements: Sequence[Statement]) -> None:
        super().__init__("a statement changed more or fewer rows than likely")
        self.statements = statements


class Doubts:
    """The statements, by their text, for which an assumption was wrong within the last `DOUBT` seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._until: dict[str, float] = {}

    def about(self, sql: str) -> bool:
        """Whether nothing may be assumed for this statement now."""
        return bool(self._until) and self._until.get(sql, 0.0) > self._now()

    def add(self, statements: Sequence[Statement]) -> None:
        """Records statements of which at least one had a wrong assumption."""
        self._until.update({one.sql: self._now() + DOUBT for one in statements})
