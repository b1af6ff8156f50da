"""Statements that reach PostgreSQL as one."""

from collections.abc import AsyncIterator

import pytest

from souk.kernel.errors import StoreError
from souk.store.database import Transaction
from souk.store.postgres import PostgresDatabase
from souk.store.together import changed_table, go_together, together
from souk.testing.postgres import postgres_server, postgres_url  # noqa: F401 - fixtures

SAVE, SHOW, COUNT = (
    "INSERT INTO a (x, y) VALUES ($1, $2)",
    "UPDATE b SET x = $2 WHERE id = $1",
    "SELECT count(*) FROM a",
)


@pytest.fixture
async def postgres(postgres_url: str) -> AsyncIterator[PostgresDatabase]:  # noqa: F811
    database = await PostgresDatabase.open(postgres_url)
    for table in ("one", "two"):
        sql = f"CREATE TABLE {table} (id TEXT PRIMARY KEY, n BIGINT NOT NULL)"
        await database.run(lambda tx, sql=sql: tx.execute(sql))
    yield database
    await database.close()


def test_parameters_are_numbered_on() -> None:
    moved = "UPDATE b SET x = $4 WHERE id = $3"
    assert together((SAVE, SHOW), (2, 2)) == f"WITH w0 AS ({SAVE}) {moved}"
    assert together((SAVE,), (2,)) == SAVE


def test_the_table_that_is_changed() -> None:
    assert [changed_table(sql) for sql in (SAVE, SHOW, "\n  delete from C", COUNT, "WITH x AS ()")] == [
        "a",
        "b",
        "c",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("later", "fits"),
    [
        (SHOW, True),
        (SAVE, False),
        (COUNT, False),
        ("INSERT INTO c SELECT x FROM a", False),
        ("INSERT INTO c SELECT x FROM ab", True),
        ("WITH x AS (SELECT 1) UPDATE b SET x = 1", False),
    ],
)
def test_what_may_be_one(later: str, fits: bool) -> None:
    assert go_together((SAVE,), later) is fits


async def test_what_was_written_is_there_for_whatever_follows(postgres) -> None:
    async def work(tx: Transaction) -> list[int]:
        await tx.write("INSERT INTO one (id, n) VALUES ($1, $2)", "a", 1)
        await tx.write("INSERT INTO two (id, n) VALUES ($1, $2)", "a", 10)
        seen = [(await tx.fetch("SELECT n FROM one"))[0]["n"]]
        await tx.write("UPDATE one SET n = $2 WHERE id = $1", "a", 2)
        await tx.write("UPDATE one SET n = n + $2 WHERE id = $1", "a", 3)
        seen.append(await tx.execute("UPDATE two SET n = n + $1 WHERE id = $2", 1, "a"))
        await tx.lock("somebody", fresh=False)
        await tx.write("UPDATE two SET n = n + 100")
        return seen

    assert await postgres.run(work) == [1, 1]
    for table, n in (("one", 5), ("two", 111)):
        found = await postgres.read(lambda tx, table=table: tx.fetch_one(f"SELECT n FROM {table}"))
        assert found["n"] == n


async def test_the_error_of_what_was_written_last_rolls_all_of_it_back(postgres) -> None:
    async def work(tx: Transaction) -> None:
        await tx.write("INSERT INTO one (id, n) VALUES ($1, $2)", "a", 1)
        await tx.write("INSERT INTO two (id, n) VALUES ($1, $2)", "a", None)

    with pytest.raises(StoreError):
        await postgres.run(work)
    assert await postgres.read(lambda tx: tx.fetch("SELECT n FROM one")) == []
