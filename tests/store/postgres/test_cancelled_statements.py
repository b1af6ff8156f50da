"""A caller that goes away between the two messages of a statement leaves nothing to whom the connection serves next."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from asyncpg.connection import Connection

from souk.store.database import Row, Transaction
from souk.store.postgres.database import PostgresDatabase

Use = Callable[[PostgresDatabase], Awaitable[object]]


async def _rows(tx: Transaction) -> list[Row]:
    return await tx.fetch("SELECT amount FROM item WHERE name = $1", "tea")


async def _write(tx: Transaction) -> None:
    await tx.write("UPDATE item SET amount = $1 WHERE name = $2", 7, "tea")


USES: dict[str, Use] = {
    "single": lambda database: database.read(_rows, single=True),
    "read": lambda database: database.read(_rows),
    "run": lambda database: database.run(_rows),
    "one statement that commits": lambda database: database.run(_write, guarded=True),
}


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    database = await PostgresDatabase.open(postgres_url, most=1)
    await database.run(lambda tx: tx.execute("CREATE TABLE item (name TEXT PRIMARY KEY, amount BIGINT)"))
    yield database
    await database.close()


@pytest.mark.parametrize("following", USES)
@pytest.mark.parametrize("cancelled", USES)
async def test_a_statement_that_was_prepared_and_not_run(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, cancelled: str, following: str
) -> None:
    prepare = Connection._get_statement

    async def prepare_and_be_cancelled(self: Any, *arguments: Any, **options: Any) -> Any:
        await prepare(self, *arguments, **options)
        task = asyncio.current_task()
        assert task
        task.cancel()
        await asyncio.sleep(0)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "_get_statement", prepare_and_be_cancelled)
        using = asyncio.ensure_future(USES[cancelled](database))
        await asyncio.wait([using])
    await USES[following](database)
