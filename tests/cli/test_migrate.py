"""`souk migrate`: brings a database to the schema without serving, and lets others wait for that."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from souk.testing.postgres import TemporaryPostgres
from souk.testing.processes import PATIENCE, begin, run

PASSWORD = "pw-0815"
SERVICE = "inventory"


@pytest.fixture
async def settings(postgres_server: TemporaryPostgres) -> AsyncIterator[dict[str, str]]:
    """Settings that lead to an empty database of the service."""
    await postgres_server.create_service_database(SERVICE, PASSWORD)
    yield {"SOUK_POSTGRES": postgres_server.service_url("{service}", PASSWORD)}
    await postgres_server.drop_service_database(SERVICE)


async def tables(settings: dict[str, str]) -> set[str]:
    connection = await asyncpg.connect(settings["SOUK_POSTGRES"].replace("{service}", SERVICE))
    try:
        return {row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    finally:
        await connection.close()


async def test_it_applies_what_is_missing_and_serves_nothing(settings: dict[str, str]) -> None:
    first = await run("migrate", SERVICE, settings=settings)
    assert first.status == 0, first.err
    assert {"souk_migrations", "stock"} <= await tables(settings)
    again = await run("migrate", SERVICE, settings=settings)
    assert (again.status, again.out) == (0, f"{SERVICE}: 0 migrations were applied\n")


async def test_a_check_lists_what_is_missing_and_changes_nothing(settings: dict[str, str]) -> None:
    before = await run("migrate", SERVICE, "--check", settings=settings)
    assert before.status == 1
    assert before.out.startswith(f"{SERVICE}: lacks souk 0001_store")
    assert await tables(settings) == set()
    await run("migrate", SERVICE, settings=settings)
    after = await run("migrate", SERVICE, "--check", settings=settings)
    assert (after.status, after.out) == (0, f"{SERVICE}: nothing is missing\n")


async def test_who_waits_goes_on_once_another_has_migrated(settings: dict[str, str]) -> None:
    waiting = await begin("migrate", SERVICE, "--wait", "60", settings=settings)
    try:
        assert waiting.stdout is not None
        reason = await asyncio.wait_for(waiting.stdout.readline(), PATIENCE)
        assert reason.decode().startswith(f"the database of {SERVICE} lacks souk 0001_store")
        assert waiting.returncode is None
        assert (await run("migrate", SERVICE, settings=settings)).status == 0
        assert await asyncio.wait_for(waiting.wait(), PATIENCE) == 0
    finally:
        waiting.kill()
        await waiting.communicate()


async def test_who_waits_in_vain_says_for_what(settings: dict[str, str]) -> None:
    ended = await run("migrate", SERVICE, "--wait", "0", settings=settings)
    assert ended.status == 1
    assert f"the database of {SERVICE} lacks souk 0001_store" in ended.err
    assert await tables(settings) == set()


async def test_a_database_that_is_not_there_yet_is_waited_for(postgres_server: TemporaryPostgres) -> None:
    settings = {"SOUK_POSTGRES": postgres_server.service_url("{service}", PASSWORD)}
    ended = await run("migrate", SERVICE, "--wait", "0", settings=settings)
    assert ended.status == 1
    assert ended.err.startswith("souk: SOUK_POSTGRES (")
    assert PASSWORD not in ended.err


async def test_a_database_that_is_newer_is_refused(settings: dict[str, str]) -> None:
    await run("migrate", SERVICE, settings=settings)
    connection = await asyncpg.connect(settings["SOUK_POSTGRES"].replace("{service}", SERVICE))
    await connection.execute("INSERT INTO souk_migrations VALUES ($1, 9999, 'later', '', 0)", SERVICE)
    await connection.close()
    for words in ((), ("--check",), ("--wait", "0")):
        ended = await run("migrate", SERVICE, *words, settings=settings)
        assert ended.status == 1
        assert "the database is newer than this program" in ended.err


@pytest.mark.parametrize(
    ("words", "settings", "text"),
    [
        ((SERVICE,), {}, "souk migrate needs SOUK_POSTGRES"),
        (("inventry",), {"SOUK_POSTGRES": "postgresql:///x"}, "the nearest is 'inventory'"),
        ((SERVICE, "--check", "--wait", "1"), {}, "--check answers at once"),
        ((), {"SOUK_POSTGRES": "postgresql:///x"}, "must have {service}"),
    ],
)
async def test_what_cannot_be_is_refused_in_one_line(
    words: tuple[str, ...], settings: dict[str, str], text: str
) -> None:
    ended = await run("migrate", *words, settings=settings)
    assert ended.status != 0
    assert text in ended.err
