"""Statements that reach PostgreSQL as one."""

from collections.abc import AsyncIterator

import pytest

from souk.kernel.errors import StoreError
from souk.store.database import Transaction
from souk.store.postgres.database import PostgresDatabase
from souk.store.postgres.sql_merge import can_be_counted, changed_table, counted, go_together, sql_merge

SAVE, SHOW, COUNT = (
    "INSERT INTO a (x, y) VALUES ($1, $2)",
    "UPDATE b SET x = $2 WHERE id = $1",
    "SELECT count(*) FROM a",
)


@pytest.fixture
async def postgres(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    database = await PostgresDatabase.open(postgres_url)
    for table in ("one", "two"):
        sql = f"CREATE TABLE {table} (id TEXT PRIMARY KEY, n BIGINT NOT NULL)"
        await database.run(lambda tx, sql=sql: tx.execute(sql))
    yield database
    await database.close()


def test_parameters_are_numbered_on() -> None:
    moved = "UPDATE b SET x = $4 WHERE id = $3"
    assert sql_merge((SAVE, SHOW), (2, 2)) == f"WITH w0 AS ({SAVE}) {moved}"
    assert sql_merge((SAVE,), (2,)) == SAVE


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


@pytest.fixture
async def sent(postgres: PostgresDatabase) -> list[str]:
    """What is sent to PostgreSQL, by its first word."""
    words: list[str] = []
    async with postgres._pool.acquire() as connection:
        connection.add_query_logger(lambda query: words.append(query.query.split()[0]))
    return words


ADD_ONE, ADD_TWO = (f"INSERT INTO {table} (id, n) VALUES ($1, $2) ON CONFLICT DO NOTHING" for table in ("one", "two"))


async def both(tx: Transaction) -> list[int]:
    return [await tx.execute(ADD_ONE, "a", 1, expect_rows=1), await tx.execute(ADD_TWO, "a", 1, expect_rows=1)]


async def test_a_guarded_transaction_that_reads_nothing_is_one_statement(postgres, sent) -> None:
    assert await postgres.run(both, guarded=True) == [1, 1]
    assert sent == ["WITH"]


async def test_one_that_assumed_wrongly_is_run_again_and_then_not_assumed_of_for_a_while(postgres, sent) -> None:
    await postgres.run(lambda tx: tx.execute(ADD_ONE, "a", 1))
    sent.clear()
    assert await postgres.run(both, guarded=True) == [0, 1]
    assert sent == ["WITH", "BEGIN", "INSERT", "INSERT", "COMMIT"]
    sent.clear()
    assert await postgres.run(both, guarded=True) == [0, 0]
    assert sent == ["BEGIN", "INSERT", "INSERT", "COMMIT"]


async def test_one_that_reads_too_counts_before_it_reads(postgres, sent) -> None:
    async def work(tx: Transaction) -> int:
        await both(tx)
        return len(await tx.fetch("SELECT id FROM one"))

    assert await postgres.run(work, guarded=True) == 1
    assert sent == ["BEGIN", "WITH", "SELECT", "COMMIT"]


async def test_one_that_does_nothing_sends_nothing(postgres, sent) -> None:
    async def nothing(tx: Transaction) -> None:
        tx.after_commit(lambda: called.append(True))

    called: list[bool] = []
    await postgres.run(nothing, guarded=True)
    assert (sent, called) == ([], [True])


async def test_the_isolation_of_one_that_is_not_guarded_stays(postgres, sent) -> None:
    assert await postgres.run(both) == [1, 1]
    assert sent == ["BEGIN", "WITH", "COMMIT"]


def test_a_count_is_asked_of_what_is_likely_alone() -> None:
    sql = counted((SAVE, SHOW), (2, 2), (None, 1), strict=False)
    assert sql == (
        "WITH w0 AS (INSERT INTO a (x, y) VALUES ($1, $2)),"
        " w1 AS (UPDATE b SET x = $4 WHERE id = $3 RETURNING 1) SELECT (SELECT count(*) FROM w1) AS c1"
    )


@pytest.mark.parametrize(("sql", "can"), [(SAVE, True), (COUNT, False), (f"{SAVE} RETURNING x", False)])
def test_what_can_be_counted(sql: str, can: bool) -> None:
    assert can_be_counted(sql) is can
