"""A server that is not as it was: read-only, with other credentials, without the database, or one of several."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from souk.backing.postgres.binaries import find_binaries
from souk.kernel.errors import ConfigurationError, StoreUnavailable
from souk.store.database import Transaction
from souk.store.postgres.database import PostgresDatabase
from souk.testing.postgres import TemporaryPostgres

Admin = Any
"""A connection of the superuser."""
_TABLE = "CREATE TABLE item (name TEXT PRIMARY KEY)"
ADD = "INSERT INTO item (name) VALUES ($1)"


async def put(database: PostgresDatabase, name: str, *, guarded: bool = False) -> None:
    async def work(tx: Transaction) -> None:
        await tx.fetch("SELECT 1")  # so that it is a transaction of its own, and not one statement
        await tx.execute(ADD, name)

    await database.run(work, guarded=guarded)


async def put_alone(database: PostgresDatabase, name: str) -> None:
    await database.run(lambda tx: tx.write(ADD, name), guarded=True)


async def names(database: PostgresDatabase) -> list[str]:
    return [row["name"] for row in await database.read(lambda tx: tx.fetch("SELECT name FROM item ORDER BY name"))]


async def reconnected(database: PostgresDatabase, name: str) -> None:
    """Writes as soon as that is possible again: the listener's and the pool's connections come back by themselves."""
    async with asyncio.timeout(120):
        while True:
            try:
                return await put(database, name)
            except StoreUnavailable:
                await asyncio.sleep(0.02)


async def refusal(work: Callable[[], Awaitable[object]], text: str) -> str:
    """What is said once `work` is refused for that reason: sessions of before may hear late."""
    said = ""
    async with asyncio.timeout(120):
        while text not in said:
            try:
                await work()
            except StoreUnavailable as error:
                said = str(error)
    return said


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    database = await PostgresDatabase.open(postgres_url, most=3)
    await database.run(lambda tx: tx.execute(_TABLE))
    yield database
    await database.close()


@pytest.fixture
async def admin(postgres_server: TemporaryPostgres) -> AsyncIterator[Admin]:
    connection = await asyncpg.connect(postgres_server.url())
    yield connection
    await connection.close()


class TestReadOnly:
    async def _set(self, database: PostgresDatabase, admin: Admin, value: str) -> None:
        await admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        await admin.execute("SELECT pg_reload_conf()")
        watcher = await asyncpg.connect(database._pool._connect_args[0])  # a session of before hears it as late
        async with asyncio.timeout(120):
            while await watcher.fetchval("SHOW default_transaction_read_only") != value:
                await asyncio.sleep(0.01)
        await watcher.close()

    @pytest.mark.parametrize("way", ["serialised", "guarded", "alone"])
    async def test_it_is_unavailable_and_no_connection_to_it_is_kept(
        self, database: PostgresDatabase, admin: Admin, way: str
    ) -> None:
        await asyncio.gather(*(put(database, f"before {n}") for n in range(3)))
        await self._set(database, admin, "on")
        pids = {holder._con.get_server_pid() for holder in database._pool._holders if holder._con is not None}
        again = iter(range(1_000_000))
        ways: dict[str, Callable[[], Awaitable[object]]] = {
            "serialised": lambda: put(database, f"{next(again)}"),
            "guarded": lambda: put(database, f"{next(again)}", guarded=True),
            "alone": lambda: put_alone(database, f"{next(again)}"),
        }
        try:
            said = await refusal(ways[way], "is read-only")
            assert "(name the primary in SOUK_POSTGRES" in said
            with pytest.raises(StoreUnavailable, match="is read-only"):  # a new connection is not taken either
                await names(database)
        finally:
            await self._set(database, admin, "off")
        await reconnected(database, "after")
        now = {holder._con.get_server_pid() for holder in database._pool._holders if holder._con is not None}
        assert not pids & now

    async def test_a_primary_that_was_demoted(self, postgres_server: TemporaryPostgres) -> None:
        url = await postgres_server.create_database()
        database = await PostgresDatabase.open(url)
        await database.run(lambda tx: tx.execute(_TABLE))
        postgres_server.demote()
        try:
            await refusal(lambda: put(database, "no"), "is read-only")
            with pytest.raises(ConfigurationError, match="is read-only"):
                await PostgresDatabase.open(url)
        finally:
            postgres_server.promote()
        await reconnected(database, "after")
        assert await names(database) == ["after"]
        await database.close()


class TestSeveralHosts:
    @pytest.fixture
    def standby(self) -> Iterator[TemporaryPostgres]:
        binaries = find_binaries()
        assert binaries is not None
        server = TemporaryPostgres(binaries)
        server.start()
        server.demote()
        yield server
        server.remove()

    async def test_the_one_that_can_be_written_to_is_taken(
        self,
        standby: TemporaryPostgres,
        postgres_server: TemporaryPostgres,
        postgres_url: str,
    ) -> None:
        name = postgres_url.removeprefix("postgresql://postgres@/").split("?")[0]
        # The standby has no database of that name: "postgres" is on both, and only one may be written to.
        url = f"postgresql://postgres@/postgres?host={standby.socket_directory},{postgres_server.socket_directory}"
        database = await PostgresDatabase.open(url)
        rows = await database.read(
            lambda tx: tx.fetch("SELECT count(*) AS n FROM pg_database WHERE datname = $1", name)
        )
        assert rows[0]["n"] == 1
        await database.close()


class TestCredentials:
    @pytest.fixture
    async def secured(self, postgres_server: TemporaryPostgres) -> AsyncIterator[TemporaryPostgres]:
        await postgres_server.create_service_database("keeper", "first")
        yield postgres_server
        await postgres_server.drop_service_database("keeper")

    async def test_a_password_file_is_read_at_each_connection(
        self, secured: TemporaryPostgres, admin: Admin, tmp_path: Path
    ) -> None:
        passwords = tmp_path / "passwords"
        passwords.write_text("*:*:keeper:keeper:first\n")
        passwords.chmod(0o600)
        url = secured.service_url("keeper", "x").replace(":x@", "@") + f"&passfile={passwords}"
        database = await PostgresDatabase.open(url)
        await database.run(lambda tx: tx.execute(_TABLE))
        await admin.execute("ALTER ROLE keeper PASSWORD 'second'")
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keeper'")
        said = await refusal(lambda: names(database), "refuses the connection")
        assert "password authentication failed" in said
        assert "see user, password, certificates" in said
        assert "first" not in said
        passwords.write_text("*:*:keeper:keeper:second\n")
        await reconnected(database, "after")
        await database.close()


class TestMissing:
    async def test_a_database_that_was_dropped(self, postgres_server: TemporaryPostgres) -> None:
        url = await postgres_server.create_database()
        database = await PostgresDatabase.open(url)
        await postgres_server.drop_database(url)
        await refusal(lambda: names(database), "is not there: create it, or restore it")
        await database.close()

    async def test_a_right_that_was_taken_away(self, postgres_server: TemporaryPostgres, admin: Admin) -> None:
        await postgres_server.create_service_database("keeper", "first")
        database = await PostgresDatabase.open(postgres_server.service_url("keeper", "first"))
        owner = await asyncpg.connect(postgres_server.url("keeper"))
        try:
            await owner.execute(_TABLE)
            with pytest.raises(StoreUnavailable, match=r"denies the right.*permission denied.*\(grant it"):
                await put(database, "no")
            await owner.execute("GRANT ALL ON item TO keeper")
            await put(database, "yes")
        finally:
            await owner.close()
            await database.close()
            await postgres_server.drop_service_database("keeper")

    async def test_no_room_for_another_connection(self, postgres_server: TemporaryPostgres, admin: Admin) -> None:
        await postgres_server.create_service_database("keeper", "first")
        await admin.execute("ALTER ROLE keeper CONNECTION LIMIT 2")  # one for the pool, and the one that listens
        database = await PostgresDatabase.open(postgres_server.service_url("keeper", "first"))
        try:
            async with database._pool.acquire():
                with pytest.raises(StoreUnavailable, match=r"is out of room: too many connections.*raise max_conn"):
                    await names(database)
        finally:
            await database.close()
            await postgres_server.drop_service_database("keeper")
