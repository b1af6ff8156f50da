"""Each service gets a database and a role on a PostgreSQL server, and nobody else's."""

from pathlib import Path

import asyncpg
import pytest

from souk.backing.credentials import Credentials
from souk.backing.postgres.roles import PostgresServer as Server
from souk.kernel.errors import ConfigurationError
from souk.testing.postgres import TemporaryPostgres

SERVICES = ("order", "user")


async def outcome(url: str, sql: str = "SELECT 1") -> str:
    try:
        connection = await asyncpg.connect(url)
    except asyncpg.PostgresError as error:
        return type(error).__name__
    try:
        await connection.execute(sql)
    except asyncpg.PostgresError as error:
        return type(error).__name__
    finally:
        await connection.close()
    return "done"


async def connection_limit(server: Server) -> int:
    connection = await asyncpg.connect(server.url)
    try:
        return int(await connection.fetchval("SELECT setting FROM pg_settings WHERE name = 'max_connections'"))
    finally:
        await connection.close()


@pytest.fixture
async def server(postgres_server: TemporaryPostgres, tmp_path: Path):
    yield Server(postgres_server.url(), Credentials(tmp_path / "credentials.json"), ours=False)
    for service in SERVICES:
        await postgres_server.drop_service_database(f"souk_{service}")


async def test_each_service_gets_a_database_that_is_its_own(server: Server) -> None:
    assert await server.provide(SERVICES) == await connection_limit(server)
    order, user = server.service_url("order"), server.service_url("user")
    assert await outcome(order, "CREATE TABLE stalls (id TEXT)") == "done"
    assert await outcome(user.replace("/souk_user?", "/souk_order?")) == "InsufficientPrivilegeError"
    assert await outcome(user.replace("souk_user:", "souk_order:")) == "InvalidPasswordError"


async def test_what_is_there_stays(server: Server) -> None:
    await server.provide(SERVICES)
    await outcome(server.service_url("order"), "CREATE TABLE stalls (id TEXT)")
    await server.provide(SERVICES)
    assert await outcome(server.service_url("order"), "SELECT id FROM stalls") == "done"


async def test_a_role_of_somebody_else_is_not_taken_over(server: Server, tmp_path: Path) -> None:
    await server.provide(SERVICES)
    stranger = Server(server.url, Credentials(tmp_path / "other.json"), ours=False)
    with pytest.raises(ConfigurationError, match="has a role souk_order already, and its password is not known here"):
        await stranger.provide(SERVICES)


async def test_an_administrator_need_not_be_a_superuser(
    server: Server,
    postgres_server: TemporaryPostgres,
) -> None:
    await outcome(server.url, "CREATE ROLE keeper LOGIN CREATEROLE CREATEDB PASSWORD 'k'")
    url = postgres_server.service_url("keeper", "k").replace("/keeper?", "/postgres?")
    try:
        await Server(url, server.credentials, ours=False).provide(SERVICES)
        assert await outcome(server.service_url("order"), "CREATE TABLE stalls (id TEXT)") == "done"
    finally:
        for service in SERVICES:
            await postgres_server.drop_service_database(f"souk_{service}")
        await outcome(server.url, "DROP ROLE keeper")


async def test_who_may_not_make_databases_is_told_so(server: Server, postgres_server: TemporaryPostgres) -> None:
    await outcome(server.url, "CREATE ROLE guest LOGIN PASSWORD 'g'")
    url = postgres_server.service_url("guest", "g").replace("/guest?", "/postgres?")
    try:
        with pytest.raises(ConfigurationError, match="'guest' may not make roles and databases"):
            await Server(url, server.credentials, ours=False).provide(SERVICES)
    finally:
        await outcome(server.url, "DROP ROLE guest")


@pytest.mark.parametrize(
    "url", ["postgresql://a:s3cret@127.0.0.1:1/postgres", "postgresql://a:s3cret@/x?host=/nowhere"]
)
async def test_a_server_that_is_not_there_is_said_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="PostgreSQL on ") as raised:
        await Server(url, Credentials(tmp_path / "credentials.json"), ours=False).provide(SERVICES)
    assert "s3cret" not in str(raised.value)
    assert "\n" not in str(raised.value)
