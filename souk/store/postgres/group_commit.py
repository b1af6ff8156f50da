"""Group commit: transactions of one statement each that wait at the same time are committed as one.

They are sent in one message and committed by one COMMIT, so they share a round trip and a wait for the disk. Only
transactions with the same text of SQL go together, because the driver sends no others in one message. If one
of them fails, nothing of the group is committed, and each runs again by itself.

Source: DeWitt et al., "Implementation techniques for main memory database systems" (1984), section 5.2.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Any, NamedTuple

from souk.faults import Faults
from souk.kernel.errors import StoreError
from souk.store.database import Value
from souk.store.error_meaning import Reuse, StatementFate
from souk.store.postgres.connection import Borrowed, drop
from souk.store.postgres.errors import DRIVER_ERRORS, meaning_of, translate
from souk.store.postgres.transaction import Connection, PostgresTransaction, R
from souk.store.postgres.write_batch import Statement

MOST = 64
"""How many transactions are committed together at most."""
_AT_ONCE = 2
"""How many groups of one statement are under way: what comes while the disk is busy with one need not wait for it."""


class NotGrouped(BaseException):
    """The transaction has to run by itself; nothing of it was committed.

    It is not an Exception, so that no `except Exception` in the work swallows it.
    """


class GroupedTransaction(PostgresTransaction):
    """A transaction without a connection, which keeps its writes back. What needs an answer raises NotGrouped."""

    def __init__(self, name: str, faults: Faults, assuming: Callable[[str], bool]) -> None:
        no_connection: Any = None  # `_call` is the only one to use it
        super().__init__(no_connection, name, faults, assuming=assuming)

    async def _call(self, statement: Callable[[], Awaitable[R]], assumed: Sequence[Statement] = ()) -> R:
        self._require_open()
        self._ended = StoreError("the transaction starts again on a connection of its own")
        raise NotGrouped


class _Member(NamedTuple):
    values: tuple[Value, ...]
    committed: Callable[[int], None]
    end: "asyncio.Future[None]"


class CommitGroups:
    """Groups the transactions of one database by their statement: what waits while others are under way goes next."""

    def __init__(self, name: str, connect: Callable[[], Borrowed], time_limit: float) -> None:
        self._name = name
        self._connect = connect
        self._time_limit = time_limit
        self._waiting: defaultdict[str, list[_Member]] = defaultdict(list)
        self._under_way: Counter[str] = Counter()
        self._senders: set[asyncio.Task[None]] = set()

    def commit(self, statement: Statement, committed: Callable[[int], None]) -> "asyncio.Future[None]":
        """Commits a statement with others, and calls `committed` with how many they were, as soon as it is durable.

        The future raises NotGrouped when nothing was committed and the work is to run by itself, StoreUnavailable
        when it is not known, and what `committed` raises.
        """
        loop = asyncio.get_running_loop()
        member = _Member(statement.values, committed, loop.create_future())
        self._waiting[statement.sql].append(member)
        if self._under_way[statement.sql] < _AT_ONCE:
            self._under_way[statement.sql] += 1
            sender = loop.create_task(self._send_all(statement.sql), context=Context())
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        return member.end

    async def close(self) -> None:
        """Waits for the groups under way."""
        await asyncio.gather(*self._senders, return_exceptions=True)

    async def _send_all(self, sql: str) -> None:
        """Sends what waits, one group after the other. A member waits for its end whatever happens, so it must come."""
        members: Sequence[_Member] = ()
        try:
            while waiting := self._waiting[sql]:
                members, self._waiting[sql] = waiting[:MOST], waiting[MOST:]
                await self._send(sql, members)
        finally:
            self._under_way[sql] -= 1
            if not self._under_way[sql]:
                del self._under_way[sql]
                members = (*members, *self._waiting.pop(sql))
            for member in members:
                member.end.cancel()

    async def _send(self, sql: str, members: Sequence[_Member]) -> None:
        try:
            async with self._connect() as connection:
                await self._execute(connection, sql, members)
        except NotGrouped:
            for member in members:
                member.end.set_exception(NotGrouped())
        except StoreError as error:
            for member in members:
                member.end.set_exception(error)
        else:
            for member in members:
                _settle(member, len(members))

    async def _execute(self, connection: Connection, sql: str, members: Sequence[_Member]) -> None:
        # Sorted, so that two groups lock the rows that both of them change in the same order.
        rows = sorted((member.values for member in members), key=_first)
        try:
            if len(rows) == 1:
                await connection.execute(sql, *rows[0], timeout=self._time_limit)
            else:
                await connection.executemany(sql, rows, timeout=self._time_limit)
        except DRIVER_ERRORS as error:
            meaning = meaning_of(error)
            if meaning.fate is StatementFate.UNSURE or meaning.reuse is not Reuse.KEEP:
                drop(connection)
            if meaning.fate is StatementFate.UNSURE:  # perhaps it was committed, so it must never run again
                raise translate(error, self._name) from error
            raise NotGrouped from error


def _first(values: tuple[Value, ...]) -> str:
    return str(values[0]) if values else ""


def _settle(member: _Member, together: int) -> None:
    try:
        member.committed(together)
    except Exception as error:
        member.end.set_exception(error)
    else:
        member.end.set_result(None)
