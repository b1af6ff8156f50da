"""Prepared transactions of PostgreSQL: PREPARE TRANSACTION, COMMIT PREPARED and ROLLBACK PREPARED.

Their identifiers belong to the whole server, so the database's name is part of each. After PREPARE TRANSACTION the
session is out of the transaction, so its connection goes back to the pool like after a COMMIT; any other connection
may end it.
"""

import re
from collections.abc import Callable
from typing import Protocol, TypeVar

import asyncpg

from souk.kernel.errors import StoreError, StoreUnavailable
from souk.store.database import PreparedTransaction, Work
from souk.store.postgres.connection import Borrowed, undisturbed
from souk.store.postgres.errors import DRIVER_ERRORS, translate
from souk.telemetry.tracing.leaves import Leaves, leaf

T = TypeVar("T")

_NAME = re.compile(r"[\w:.\-]{1,120}", re.ASCII)
_DISABLED = "prepared transactions are disabled"
_STANDING = """
    SELECT gid, CAST(extract(epoch FROM clock_timestamp() - prepared) AS DOUBLE PRECISION) AS age
    FROM pg_prepared_xacts
    WHERE database = current_database() AND owner = current_user AND starts_with(gid, $1) ORDER BY prepared
"""


class Prepare(Protocol):
    """Runs work in a transaction and ends it with a statement that prepares it."""

    async def __call__(self, work: Work[T], ending: str, /) -> T: ...


class PostgresPrepared:
    """Implements `PreparedTransactions`; `prepare` is `PostgresDatabase`'s, `connect` borrows a connection."""

    def __init__(
        self,
        database: str,
        prepare: Prepare,
        connect: Callable[[], Borrowed],
        patience: float,
        leaves: Leaves | None = None,
    ) -> None:
        self._database = database
        self._prepare = prepare
        self._connect = connect
        self._patience, self._leaves = patience, leaves
        self._prefix = f"souk/{database}/"

    async def limit(self) -> int:
        async with self._connect() as connection:
            try:
                return int(await connection.fetchval("SHOW max_prepared_transactions"))
            except DRIVER_ERRORS as error:
                raise translate(error, self._database) from error

    async def prepare(self, name: str, work: Work[T]) -> T:
        return await self._prepare(work, f"PREPARE TRANSACTION {self._literal(name)}")

    async def commit(self, name: str) -> bool:
        return await self._end("COMMIT PREPARED", name)

    async def roll_back(self, name: str) -> bool:
        return await self._end("ROLLBACK PREPARED", name)

    async def standing(self) -> list[PreparedTransaction]:
        async with self._connect() as connection:
            try:
                rows = await connection.fetch(_STANDING, self._prefix)
            except DRIVER_ERRORS as error:
                raise translate(error, self._database) from error
        return [PreparedTransaction(row["gid"].removeprefix(self._prefix), row["age"]) for row in rows]

    async def _end(self, how: str, name: str) -> bool:
        found, sql = True, f"{how} {self._literal(name)}"

        async def end() -> None:
            nonlocal found
            async with self._connect() as connection:
                try:
                    await connection.execute(sql, timeout=2 * self._patience)
                except asyncpg.UndefinedObjectError:
                    found = False
                except asyncpg.ObjectNotInPrerequisiteStateError as error:
                    raise StoreUnavailable(f"prepared transaction {name} is being ended by another session") from error
                except DRIVER_ERRORS as error:
                    raise translate(error, self._database) from error

        with leaf(self._leaves, how):
            await undisturbed(end())
        return found

    def _literal(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise StoreError(f"{name!r} is no name for a prepared transaction: letters, digits and `:._-`, at most 120")
        return "'" + (self._prefix + name).replace("'", "''") + "'"
