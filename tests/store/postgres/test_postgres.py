"""What is particular to PostgreSQL: connections that are lost, collisions, errors of the server."""

import asyncio
import signal
from collections.abc import AsyncIterator

import asyncpg
import pytest

from souk.faults import Faults
from souk.kernel.errors import ConfigurationError, DomainError, StoreError, StoreUnavailable
from souk.store.database import Transaction
from souk.store.postgres.database import PostgresDatabase
from souk.store.postgres.errors import translate
from souk.store.postgres.transaction import changed_rows
from souk.testing.postgres import TemporaryPostgres


async def _put(tx: Transaction, name: str, amount: int = 0) -> None:
    await tx.execute("INSERT INTO item (name, amount) VALUES ($1, $2)", name, amount)


async def _count(database: PostgresDatabase) -> int:
    row = await database.read(lambda tx: tx.fetch_one("SELECT count(*) AS n FROM item"))
    assert row is not None
    return int(row["n"])


async def _open(url: str, **settings: float) -> PostgresDatabase:
    database = await PostgresDatabase.open(url, **settings)
    await database.run(lambda tx: tx.execute("CREATE TABLE item (name TEXT PRIMARY KEY, amount BIGINT NOT NULL)"))
    return database


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    database = await _open(postgres_url)
    yield database
    await database.close()


async def test_one_transaction_need_not_be_synced_and_the_next_one_is(postgres_url: str) -> None:
    database = await _open(postgres_url, least=1, most=1)

    async def synced(tx: Transaction, where: str) -> str:
        await tx.execute(f"UPDATE item SET amount = 1 WHERE {where}")
        row = await tx.fetch_one("SELECT current_setting('synchronous_commit') AS found")
        assert row is not None
        return str(row["found"])

    await database.run(lambda tx: _put(tx, "a"))
    assert await database.run(lambda tx: synced(tx, tx.dialect.unsynced)) == "off"
    assert await database.run(lambda tx: synced(tx, "TRUE")) == "on"
    await database.close()


class TestConnections:
    async def test_a_database_that_is_not_there(self, postgres_server: TemporaryPostgres):
        with pytest.raises(ConfigurationError, match="database nowhere refuses the connection"):
            await PostgresDatabase.open(postgres_server.url("nowhere"))
        with pytest.raises(StoreUnavailable, match="database x cannot be reached"):
            await PostgresDatabase.open("postgresql://u:secret@127.0.0.1:1/x", patience=1)

    async def test_connections_that_are_killed_are_replaced(self, database: PostgresDatabase):
        await asyncio.gather(*(database.run(lambda tx, n=n: _put(tx, f"{n}")) for n in range(5)))
        woken = asyncio.Event()
        database.listen("channel", woken.set)
        with pytest.raises(StoreUnavailable):
            await database.run(
                lambda tx: tx.fetch(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                    " ORDER BY pid = pg_backend_pid()"
                )
            )
        await asyncio.wait_for(woken.wait(), 30)  # what may have been missed is looked for
        await _until_up(database)
        assert await _count(database) == 5
        woken.clear()
        await database.run(lambda tx: tx.notify("channel"))
        await asyncio.wait_for(woken.wait(), 30)

    async def test_a_lost_server_is_unavailable_and_comes_back(self, postgres_server: TemporaryPostgres):
        url = await postgres_server.create_database()
        database = await _open(url, patience=2)
        await database.run(lambda tx: _put(tx, "before"))
        postgres_server.stop(signal.SIGQUIT)
        try:
            for way in (database.run, database.read):
                with pytest.raises(StoreUnavailable):
                    await way(lambda tx: tx.fetch("SELECT 1"))
        finally:
            postgres_server.start()
        await _until_up(database)
        await database.run(lambda tx: _put(tx, "after"))
        assert await _count(database) == 2
        await database.close()

    async def test_more_callers_than_connections_wait_their_turn(self, postgres_url: str):
        database = await _open(postgres_url, most=2)
        await asyncio.gather(*(database.run(lambda tx, n=n: _put(tx, f"{n}")) for n in range(40)))
        assert await _count(database) == 40
        await database.close()

    async def test_who_waits_too_long_for_one_is_told_why(self, postgres_url: str):
        database = await _open(postgres_url, most=1, patience=0.2)
        async with database._pool.acquire():
            with pytest.raises(StoreUnavailable, match=r"every connection is in use, for 0\.2 s"):
                await _count(database)
        assert await _count(database) == 0
        await database.close()

    async def test_a_connection_lost_in_the_commit_is_unavailable_and_not_run_again(self, postgres_url: str):
        ran: list[str] = []
        admin = await asyncpg.connect(postgres_url)
        faults = Faults({"store.commit": 1}, strike=lambda: ran.append("commit"))
        database = await PostgresDatabase.open(postgres_url, faults=faults)
        await database.run(lambda tx: tx.execute("CREATE TABLE item (name TEXT PRIMARY KEY, amount BIGINT NOT NULL)"))

        async def work(tx: Transaction) -> None:
            ran.append("work")
            await _put(tx, "a")
            tx._connection.terminate()

        with pytest.raises(StoreUnavailable):
            await database.run(work)
        assert ran == ["work", "commit"]
        assert await admin.fetchval("SELECT count(*) FROM item") == 0
        await admin.close()
        await database.close()

    async def test_a_caller_that_is_cancelled_during_the_commit_has_committed(self, postgres_url: str):
        tasks: list[asyncio.Future[None]] = []
        called: list[str] = []
        database = await PostgresDatabase.open(
            postgres_url, faults=Faults({"store.commit": 1}, strike=lambda: tasks[0].cancel() and None)
        )
        await database.run(lambda tx: tx.execute("CREATE TABLE item (name TEXT PRIMARY KEY, amount BIGINT NOT NULL)"))

        async def work(tx: Transaction) -> None:
            await _put(tx, "a")
            tx.after_commit(lambda: called.append("a"))

        tasks.append(asyncio.ensure_future(database.run(work)))
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (tasks[0].cancelled(), called, await _count(database)) == (True, ["a"], 1)
        await database.close()


class TestCollisions:
    @pytest.mark.parametrize("guarded", [False, True])
    async def test_guarded_work_collides_only_over_what_it_writes(self, database: PostgresDatabase, guarded: bool):
        """Rows of their own, but all of them new, and so on one page of the index."""
        runs: list[str] = []

        async def work(tx: Transaction, name: str) -> None:
            runs.append(name)
            assert await tx.fetch_one("SELECT amount, pg_sleep(0.01) FROM item WHERE name = $1", name) is None
            await tx.execute("SELECT pg_sleep(0.01)")
            await _put(tx, name)

        await asyncio.gather(*(database.run(lambda tx, n=n: work(tx, f"{n}"), guarded=guarded) for n in range(10)))
        assert await _count(database) == 10
        assert (len(runs) == 10) is guarded

    @pytest.mark.parametrize("refuses", [True, False])
    async def test_work_that_hides_a_collision_is_run_again_all_the_same(self, postgres_url: str, refuses: bool):
        database, other = await _open(postgres_url), await PostgresDatabase.open(postgres_url)
        await database.run(lambda tx: _put(tx, "counter"))
        runs: list[int] = []

        async def work(tx: Transaction) -> None:
            runs.append(1)
            row = await tx.fetch_one("SELECT amount FROM item")
            assert row is not None
            try:
                await tx.execute("UPDATE item SET amount = $1", row["amount"] + 1)
            except StoreError:
                if refuses:
                    raise DomainError("NO", "a collision is nobody's refusal") from None

        await asyncio.gather(*(way.run(work) for _ in range(10) for way in (database, other)))
        row = await database.read(lambda tx: tx.fetch_one("SELECT amount FROM item"))
        assert row is not None
        assert row["amount"] == 20
        assert len(runs) > 20
        await database.close()
        await other.close()

    async def test_a_row_that_stays_locked_is_unavailable(self, postgres_url: str):
        database = await _open(postgres_url, patience=0.1)
        await database.run(lambda tx: _put(tx, "a"))
        holder = await asyncpg.connect(postgres_url)
        await holder.execute("BEGIN; UPDATE item SET amount = 1")
        with pytest.raises(StoreUnavailable):
            await database.run(lambda tx: tx.execute("UPDATE item SET amount = 2"))
        await holder.execute("SELECT pg_advisory_xact_lock(hashtextextended('name', 0))")
        with pytest.raises(StoreUnavailable):
            await database.run(lambda tx: tx.lock("name"))
        await holder.close()
        await database.run(lambda tx: tx.lock("name"))
        await database.close()

    async def test_a_cancelled_wait_frees_its_connection(self, postgres_url: str):
        database = await _open(postgres_url, most=1)
        await database.run(lambda tx: _put(tx, "a"))
        holder = await asyncpg.connect(postgres_url)
        await holder.execute("BEGIN; UPDATE item SET amount = 1")
        waiting = asyncio.ensure_future(database.run(lambda tx: tx.execute("UPDATE item SET amount = 2")))
        await _until_somebody_waits(holder)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await holder.execute("COMMIT")
        await database.run(lambda tx: tx.execute("UPDATE item SET amount = amount + 10"))
        assert await holder.fetchval("SELECT amount FROM item") == 11
        await holder.close()
        await database.close()


class TestAlone:
    """Transactions that are one statement, which commits by itself."""

    async def test_its_connection_is_lost_meanwhile_and_it_is_not_run_again(self, postgres_url: str):
        database, holder, ran = await _open(postgres_url), await asyncpg.connect(postgres_url), []
        await database.run(lambda tx: _put(tx, "a"))
        await holder.execute("BEGIN; UPDATE item SET amount = 1")

        async def work(tx: Transaction) -> None:
            ran.append("work")
            await tx.write("UPDATE item SET amount = 2")

        waiting = asyncio.ensure_future(database.run(work, guarded=True))
        await _until_somebody_waits(holder)
        await holder.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        with pytest.raises(StoreUnavailable):
            await waiting
        await holder.execute("COMMIT")
        assert ran == ["work"]
        assert await holder.fetchval("SELECT amount FROM item") == 1
        await holder.close()
        await database.close()

    async def test_a_caller_that_is_cancelled_meanwhile_has_committed(self, postgres_url: str):
        database, holder, called = await _open(postgres_url), await asyncpg.connect(postgres_url), []
        await database.run(lambda tx: _put(tx, "a"))
        await holder.execute("BEGIN; UPDATE item SET amount = 1")

        async def work(tx: Transaction) -> None:
            await tx.write("UPDATE item SET amount = amount + 10")
            tx.after_commit(lambda: called.append("committed"))

        waiting = asyncio.ensure_future(database.run(work, guarded=True))
        await _until_somebody_waits(holder)
        waiting.cancel()
        await holder.execute("COMMIT")
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert called == ["committed"]
        assert await holder.fetchval("SELECT amount FROM item") == 11
        await holder.close()
        await database.close()

    async def test_it_finds_a_row_as_whoever_held_it_left_it(self, postgres_url: str):
        """No collision, and nothing is run again: it waits, and looks at its condition once more."""
        database, holder, ran = await _open(postgres_url), await asyncpg.connect(postgres_url), []
        await database.run(lambda tx: _put(tx, "a", 5))
        await holder.execute("BEGIN; UPDATE item SET amount = amount - 1")

        async def work(tx: Transaction) -> int:
            ran.append("work")
            return await tx.execute("UPDATE item SET amount = amount - 2 WHERE amount >= 2", expect_rows=1)

        waiting = asyncio.ensure_future(database.run(work, guarded=True))
        await _until_somebody_waits(holder)
        await holder.execute("COMMIT")
        assert (await waiting, ran, database.tries_again) == (1, ["work"], 0)
        assert await holder.fetchval("SELECT amount FROM item") == 2
        await holder.close()
        await database.close()


async def _until_somebody_waits(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    async with asyncio.timeout(120):
        while not await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            await connection.execute("SELECT pg_stat_clear_snapshot()")


async def _until_up(database: PostgresDatabase) -> None:
    for _ in range(100):
        try:
            await database.read(lambda tx: tx.fetch("SELECT 1"))
        except StoreUnavailable:
            await asyncio.sleep(0.02)
        else:
            return
    pytest.fail("the database does not come back")


def test_what_a_lost_connection_means():
    for error in (ConnectionResetError(), TimeoutError(), asyncpg.InterfaceError("connection is closed")):
        assert type(translate(error, "x")) is StoreUnavailable
    assert type(translate(asyncpg.DataError("invalid input"), "x")) is StoreError
    assert type(translate(asyncpg.exceptions._base.InterfaceError("x"), "x")) is StoreUnavailable


@pytest.mark.parametrize(
    ("tag", "rows"), [("UPDATE 3", 3), ("INSERT 0 1", 1), ("SELECT 4", 0), ("CREATE TABLE", 0), ("DELETE 0", 0)]
)
def test_rows_in_a_tag(tag: str, rows: int):
    assert changed_rows(tag) == rows
