"""What is said, in one line and without the password, of a PostgreSQL that cannot be used."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

import asyncpg
import pytest

from souk.testing.postgres import TemporaryPostgres
from souk.testing.processes import Ended, run, service, system

Tiny = Mapping[str, str]
PASSWORD = "pw-0815"
USER = "user"
"""The one service of the tiny system."""


@pytest.fixture
def server(postgres_server: TemporaryPostgres) -> Iterator[TemporaryPostgres]:
    """A server with that service's database."""
    asyncio.run(postgres_server.create_service_database(USER, PASSWORD))
    yield postgres_server
    asyncio.run(postgres_server.drop_service_database(USER))


def put(server: TemporaryPostgres, tiny: Tiny) -> dict[str, str]:
    return {**tiny, "SOUK_POSTGRES": server.service_url("{service}", PASSWORD)}


async def up(data: Path, url: str, tiny: Tiny) -> str:
    ended: Ended = await run("up", "--port", "0", "--data", str(data), settings={**tiny, "SOUK_POSTGRES": url})
    assert (ended.status, ended.out) == (1, ""), ended.err
    assert ended.err.startswith("souk: SOUK_POSTGRES")
    assert ended.err.count("\n") == 1
    assert PASSWORD not in ended.err
    return ended.err


async def test_a_system_keeps_nothing_in_files(server: TemporaryPostgres, tmp_path: Path, tiny: Tiny) -> None:
    async with system(tmp_path / "data", "--demo", settings=put(server, tiny)) as one:
        assert await one.end() == 0
    assert list((tmp_path / "data").glob("*.db")) == []
    rows = await asyncpg.connect(server.service_url(USER, PASSWORD))
    assert await rows.fetchval("SELECT count(*) FROM tiny_demo") == 1
    await rows.close()


async def test_a_service_of_its_own_uses_it_too(server: TemporaryPostgres, tmp_path: Path, tiny: Tiny) -> None:
    async with service(USER, tmp_path / "data", settings=put(server, tiny)) as one:
        assert await one.end() == 0
    assert list((tmp_path / "data").glob("*.db")) == []


async def test_a_wrong_password(server: TemporaryPostgres, tmp_path: Path, tiny: Tiny) -> None:
    url = server.service_url("{service}", f"not-{PASSWORD}")
    assert 'password authentication failed for user "user"' in await up(tmp_path, url, tiny)


async def test_a_database_that_is_not_there(server: TemporaryPostgres, tmp_path: Path, tiny: Tiny) -> None:
    url = server.service_url("{service}", PASSWORD).replace("/{service}?", "/no-{service}?")
    assert 'database "no-user" does not exist' in await up(tmp_path, url, tiny)


async def test_a_database_of_somebody_else(server: TemporaryPostgres, tmp_path: Path, tiny: Tiny) -> None:
    await server.create_service_database("stranger", PASSWORD)
    try:
        url = server.service_url("{service}", PASSWORD).replace("{service}:", "stranger:")
        assert 'permission denied for database "user"' in await up(tmp_path, url, tiny)
    finally:
        await server.drop_service_database("stranger")


async def test_nobody_there(tmp_path: Path, tiny: Tiny) -> None:
    said = await up(tmp_path, f"postgresql://u:{PASSWORD}@127.0.0.1:1/{{service}}", tiny)
    assert said.startswith(
        "souk: SOUK_POSTGRES (127.0.0.1:1): database user cannot be reached (see that the server runs"
    )


async def test_a_url_that_the_driver_cannot_read(tmp_path: Path, tiny: Tiny) -> None:
    assert "URL" in await up(tmp_path, f"postgresql://u:{PASSWORD}@h/{{service}}?sslmode={PASSWORD}", tiny)


async def test_without_its_driver(tmp_path: Path, tiny: Tiny) -> None:
    """Stands for an installation without the extra: the driver's name leads to nothing."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "asyncpg.py").write_text("raise ModuleNotFoundError('no asyncpg', name='asyncpg')")
    path = f"{tmp_path / 'hidden'}:{tiny['PYTHONPATH']}"
    settings = {**tiny, "PYTHONPATH": path, "SOUK_POSTGRES": f"postgresql://u:{PASSWORD}@h/{{service}}"}
    ended = await run("up", "--port", "0", "--data", str(tmp_path / "data"), settings=settings)
    assert ended.status == 1
    assert ended.err.startswith("souk: SOUK_POSTGRES needs the driver asyncpg")
    assert ended.err.count("\n") == 1
