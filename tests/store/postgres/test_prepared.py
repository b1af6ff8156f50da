"""Prepared transactions on a real PostgreSQL."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from souk.backing.postgres.binaries import find_binaries
from souk.kernel.errors import ConfigurationError, StoreError, StoreUnavailable
from souk.store.database import PreparedTransactions, Transaction
from souk.store.postgres.database import PostgresDatabase
from souk.store.sqlite.database import SqliteDatabase
from souk.testing.postgres import TemporaryPostgres
from souk.two_phase_commit.coordinator import require_prepared_transactions


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    database = await PostgresDatabase.open(postgres_url, most=2, patience=0.5)
    await database.run(lambda tx: tx.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)"))
    await database.run(lambda tx: tx.execute("INSERT INTO t (id, n) VALUES (1, 0)"))
    try:
        yield database
    finally:
        for one in await database.prepared.standing():  # a database with one of these cannot be dropped
            await database.prepared.roll_back(one.name)
        await database.close()


async def add(tx: Transaction) -> int:
    return await tx.execute("UPDATE t SET n = n + 1 WHERE id = 1")


async def value(database: PostgresDatabase) -> int:
    row = await database.read(lambda tx: tx.fetch_one("SELECT n FROM t WHERE id = 1"))
    assert row is not None
    return int(row["n"])


async def names(prepared: PreparedTransactions) -> list[str]:
    return [one.name for one in await prepared.standing()]


async def test_what_is_prepared_is_seen_from_its_commit_on(database: PostgresDatabase) -> None:
    assert await database.prepared.prepare("ORD-1:1", add) == 1
    assert await names(database.prepared) == ["ORD-1:1"]
    assert await value(database) == 0
    assert await database.prepared.commit("ORD-1:1")
    assert await value(database) == 1
    assert await names(database.prepared) == []
    assert not await database.prepared.commit("ORD-1:1")


async def test_what_is_rolled_back_never_was(database: PostgresDatabase) -> None:
    await database.prepared.prepare("a", add)
    assert await database.prepared.roll_back("a")
    assert await value(database) == 0
    assert not await database.prepared.roll_back("a")


async def test_its_locks_are_held_and_its_connection_is_not(database: PostgresDatabase) -> None:
    for _ in range(5):  # more often than there are connections
        await database.prepared.prepare("a", add)
        with pytest.raises(StoreUnavailable, match="holds the lock"):
            await database.run(add, guarded=True)
        await database.prepared.commit("a")
        assert await database.run(add, guarded=True) == 1
    assert await value(database) == 10


async def test_writes_that_are_put_off_belong_to_it(database: PostgresDatabase) -> None:
    async def work(tx: Transaction) -> None:
        await tx.write("UPDATE t SET n = 7 WHERE id = 1")

    await database.prepared.prepare("a", work)
    assert await value(database) == 0
    await database.prepared.commit("a")
    assert await value(database) == 7


async def test_a_wrong_guess_of_changed_rows_runs_it_again(database: PostgresDatabase) -> None:
    async def work(tx: Transaction) -> int:
        return await tx.execute("UPDATE t SET n = 7 WHERE id = 99", expect_rows=1)

    assert await database.prepared.prepare("a", work) == 0
    assert await names(database.prepared) == ["a"]


async def test_an_error_of_the_work_prepares_nothing(database: PostgresDatabase) -> None:
    async def work(tx: Transaction) -> None:
        await add(tx)
        raise KeyError

    with pytest.raises(KeyError):
        await database.prepared.prepare("a", work)
    assert await names(database.prepared) == []
    assert await database.run(add) == 1


@pytest.mark.parametrize("what", ["notify", "lock", "after_commit"])
async def test_what_would_end_before_it_is_refused(database: PostgresDatabase, what: str) -> None:
    async def work(tx: Transaction) -> None:
        await add(tx)
        done: Any = {
            "notify": lambda: tx.notify("c"),
            "lock": lambda: tx.lock("l"),
            "after_commit": lambda: tx.after_commit(lambda: None),
        }[what]()
        if done is not None:
            await done

    with pytest.raises(StoreError, match="to be prepared"):
        await database.prepared.prepare("a", work)
    assert await names(database.prepared) == []


async def test_a_name_that_is_none_is_refused(database: PostgresDatabase) -> None:
    for name in ("", "a'b", "a b", "x" * 121, "ä"):
        with pytest.raises(StoreError, match="no name for a prepared transaction"):
            await database.prepared.prepare(name, add)


async def test_a_name_is_of_one_database(
    database: PostgresDatabase,
    postgres_server: TemporaryPostgres,
) -> None:
    url = await postgres_server.create_database()
    other = await PostgresDatabase.open(url)
    await other.run(lambda tx: tx.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)"))
    await database.prepared.prepare("a", add)
    await other.prepared.prepare("a", add)
    assert await other.prepared.roll_back("a")
    assert await names(database.prepared) == ["a"]
    assert await names(other.prepared) == []
    await other.close()
    await postgres_server.drop_database(url)


async def test_a_cancelled_prepare_is_prepared_or_not_and_the_pool_is_whole(database: PostgresDatabase) -> None:
    for steps in range(12):
        task = asyncio.ensure_future(database.prepared.prepare(f"a{steps}", add))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await database.prepared.roll_back(f"a{steps}")
    assert await names(database.prepared) == []
    assert await value(database) == 0
    assert await database.run(add) == 1


async def test_it_survives_a_crash_of_the_server() -> None:
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL is installed")
    server = TemporaryPostgres(binaries)
    try:
        server.start()
        database = await PostgresDatabase.open(server.url(), patience=0.5)
        await database.run(lambda tx: tx.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)"))
        await database.run(lambda tx: tx.execute("INSERT INTO t (id, n) VALUES (1, 0)"))
        await database.prepared.prepare("a", add)
        await database.close()
        server.stop(signal.SIGQUIT)
        server.start()
        database = await PostgresDatabase.open(server.url(), patience=0.5)
        assert await names(database.prepared) == ["a"]
        with pytest.raises(StoreUnavailable):
            await database.run(add, guarded=True)
        assert await database.prepared.commit("a")
        assert await value(database) == 1
        await database.close()
    finally:
        server.remove()


async def test_a_server_that_takes_none_says_so() -> None:
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL is installed")
    server = TemporaryPostgres(binaries, max_prepared_transactions="0")
    try:
        server.start()
        database = await PostgresDatabase.open(server.url())
        assert await database.prepared.limit() == 0
        with pytest.raises(ConfigurationError, match="max_prepared_transactions above 0"):
            await require_prepared_transactions(database)
        with pytest.raises(StoreError, match="prepared transactions are disabled"):
            await database.prepared.prepare("a", lambda tx: tx.fetch("SELECT 1"))
        assert await database.read(lambda tx: tx.fetch("SELECT 1"))
        await database.close()
    finally:
        server.remove()


async def test_sqlite_has_none(tmp_path: Path) -> None:
    database = await SqliteDatabase.open(tmp_path / "one.db")
    assert database.prepared is None
    await database.close()
