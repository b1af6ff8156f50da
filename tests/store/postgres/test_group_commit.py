"""What is particular to the group commit on PostgreSQL: what goes together, and what a lost server means."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import asyncpg
import pytest

from souk.faults import Faults
from souk.kernel.errors import StoreError, StoreUnavailable
from souk.store.database import Transaction
from souk.store.postgres.database import PostgresDatabase

LIMIT = 60


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    database = await PostgresDatabase.open(postgres_url)
    await database.run(lambda tx: tx.execute("CREATE TABLE item (name TEXT PRIMARY KEY, amount BIGINT NOT NULL)"))
    yield database
    await database.close()


@pytest.fixture
async def admin(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


async def insert(tx: Transaction, name: str) -> None:
    await tx.write("INSERT INTO item (name, amount) VALUES ($1, 0)", name)


async def update(tx: Transaction, name: str) -> None:
    await tx.write("UPDATE item SET amount = amount + 1 WHERE name = $1", name)


async def test_what_waits_at_the_same_time_is_one_transaction(database: PostgresDatabase, admin: asyncpg.Connection):
    works = [partial(insert, name=f"{number:02}") for number in range(60)]
    await asyncio.gather(*(database.run(work, guarded=True, grouped=True) for work in works))
    # xmin is the transaction that wrote the row.
    transactions, rows = await admin.fetchrow("SELECT count(DISTINCT CAST(xmin AS TEXT)), count(*) FROM item")
    assert (transactions, rows) == (1, 60)


async def test_work_that_is_not_grouped_is_a_transaction_of_its_own(
    database: PostgresDatabase, admin: asyncpg.Connection
):
    works = [partial(insert, name=f"{number}") for number in range(6)]
    await asyncio.gather(*(database.run(work, guarded=True) for work in works))
    await asyncio.gather(*(database.run(partial(insert, name=f"{n}"), grouped=True) for n in range(6, 9)))
    assert await admin.fetchval("SELECT count(DISTINCT CAST(xmin AS TEXT)) FROM item") == 9


async def test_groups_that_lock_the_same_rows_wait_for_each_other(database: PostgresDatabase, postgres_url: str):
    other = await PostgresDatabase.open(postgres_url)
    names = [f"{number}" for number in range(8)]
    await asyncio.gather(*(database.run(partial(insert, name=name), guarded=True) for name in names))
    ways = [(one, name) for _ in range(10) for name in names for one in (database, other)]
    ways += [(one, name) for _ in range(10) for name in reversed(names) for one in (database, other)]
    await asyncio.gather(*(one.run(partial(update, name=name), guarded=True, grouped=True) for one, name in ways))
    rows = await database.read(lambda tx: tx.fetch("SELECT amount FROM item"))
    assert [row["amount"] for row in rows] == [40] * 8
    await other.close()


async def test_a_lost_connection_is_unavailable_for_each_and_nothing_is_run_again(
    database: PostgresDatabase, admin: asyncpg.Connection
):
    ran: list[str] = []
    await database.run(partial(insert, name="a"))

    async def counted(tx: Transaction, number: int) -> None:
        ran.append(f"{number}")
        await update(tx, "a")

    async with admin.transaction():
        await admin.execute("UPDATE item SET amount = 7 WHERE name = 'a'")
        tasks = [
            asyncio.create_task(database.run(partial(counted, number=number), guarded=True, grouped=True))
            for number in range(5)
        ]
        async with asyncio.timeout(LIMIT):
            while not await admin.fetchval(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()"
            ):
                await asyncio.sleep(0.01)
            ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [StoreUnavailable] * 5
    assert sorted(ran) == list("01234")
    assert await admin.fetchval("SELECT amount FROM item") == 7
    await database.run(partial(insert, name="b"), guarded=True, grouped=True)


async def test_a_caller_that_is_cancelled_while_its_group_fails_runs_no_second_time(database: PostgresDatabase):
    ran: list[str] = []

    async def work(tx: Transaction, name: str | None) -> None:
        ran.append(f"{name}")
        await tx.write("INSERT INTO item (name, amount) VALUES ($1, 0)", name)

    tasks = [
        asyncio.create_task(database.run(partial(work, name=name), guarded=True, grouped=True))
        for name in ("a", None, "b")
    ]
    await asyncio.sleep(0)
    tasks[2].cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [type(None), StoreError, asyncio.CancelledError]
    assert sorted(ran) == ["None", "None", "a", "a", "b"]


async def test_close_waits_for_what_is_under_way(postgres_url: str, admin: asyncpg.Connection):
    database = await PostgresDatabase.open(postgres_url, most=1)
    await database.run(lambda tx: tx.execute("CREATE TABLE item (name TEXT PRIMARY KEY, amount BIGINT NOT NULL)"))
    works = [partial(insert, name=f"{number:03}") for number in range(200)]
    tasks = [asyncio.create_task(database.run(work, guarded=True, grouped=True)) for work in works]
    await asyncio.sleep(0)
    await database.close()
    assert await asyncio.gather(*tasks) == [None] * 200
    assert await admin.fetchval("SELECT count(*) FROM item") == 200


async def test_when_the_loop_ends_nobody_waits_for_ever(database: PostgresDatabase, admin: asyncpg.Connection):
    await database.run(partial(insert, name="a"))
    async with admin.transaction():
        await admin.execute("UPDATE item SET amount = 7 WHERE name = 'a'")
        task = asyncio.create_task(database.run(partial(update, name="a"), guarded=True, grouped=True))
        async with asyncio.timeout(LIMIT):
            while not await admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                await asyncio.sleep(0.01)
            for other in asyncio.all_tasks() - {asyncio.current_task()}:
                other.cancel()
            assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)


async def test_an_error_at_a_fault_point_after_the_commit_is_its_own(postgres_url: str):
    def strike() -> None:
        raise RuntimeError("struck")

    database = await PostgresDatabase.open(postgres_url, faults=Faults({"store.committed": 2}, strike=strike))
    await database.run(lambda tx: tx.execute("CREATE TABLE item (name TEXT PRIMARY KEY, amount BIGINT NOT NULL)"))
    works = [partial(insert, name=name) for name in ("a", "b", "c")]
    ends = await asyncio.gather(
        *(database.run(work, guarded=True, grouped=True) for work in works), return_exceptions=True
    )
    assert [type(end) for end in ends] == [type(None), RuntimeError, type(None)]
    rows = await database.read(lambda tx: tx.fetch("SELECT name FROM item"))
    assert len(rows) == 3
    await database.close()
