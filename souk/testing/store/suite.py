"""The conformance suite of the adapters of `souk.store.database`.

A test module derives from the suites, here and in the other modules of this folder, and gives the fixture `opened`,
which opens any number of `Database` objects on the same empty database and closes them at the end.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from souk.kernel.clock import SystemClock
from souk.kernel.errors import StoreError
from souk.store.database import Database, Row, Transaction, Value
from souk.store.migrations import PLATFORM, migrate, platform_migrations

Opened = Callable[[], Awaitable[Database]]

_TABLES = (
    "CREATE TABLE item (name TEXT PRIMARY KEY, amount BIGINT NOT NULL, note TEXT)",
    "CREATE TABLE thing (id BIGINT PRIMARY KEY, t TEXT, b BYTEA, f BOOLEAN, d DOUBLE PRECISION)",
)


async def put(tx: Transaction, name: str, amount: int = 0) -> None:
    """Inserts one item."""
    await tx.execute("INSERT INTO item (name, amount) VALUES ($1, $2)", name, amount)


async def names_in(database: Database) -> list[str]:
    """Returns the names of all items."""
    rows = await database.read(lambda tx: tx.fetch("SELECT name FROM item ORDER BY name"))
    return [row["name"] for row in rows]


async def amount_of(database: Database, name: str) -> int:
    """Returns the amount of one item."""
    row = await database.read(lambda tx: tx.fetch_one("SELECT amount FROM item WHERE name = $1", name))
    assert row is not None
    return int(row["amount"])


async def increment(tx: Transaction) -> int:
    """Reads, then writes: an update is lost unless transactions are serialised."""
    row = await tx.fetch_one("SELECT amount FROM item WHERE name = $1", "counter")
    assert row is not None
    amount = int(row["amount"]) + 1
    await tx.execute("UPDATE item SET amount = $2 WHERE name = $1", "counter", amount)
    return amount


class StoreFixtures:
    """Fixtures: one database with two tables, and a second `Database` on it."""

    @pytest.fixture
    async def database(self, opened: Opened) -> Database:
        database = await opened()

        async def create(tx: Transaction) -> None:
            for table in _TABLES:
                await tx.execute(table)

        await database.run(create)
        return database

    @pytest.fixture
    async def other(self, database: Database, opened: Opened) -> Database:
        return await opened()


class MigratedFixtures(StoreFixtures):
    """Fixtures of a test suite that needs the tables of the platform."""

    @pytest.fixture
    async def store(self, database: Database) -> Database:
        await migrate(database, platform_migrations(), PLATFORM)
        return database


class StatementSuite(StoreFixtures):
    """Tests of statements, parameters and values."""

    async def test_parameters_go_by_number_in_any_order_and_as_often_as_needed(self, database: Database) -> None:
        async def work(tx: Transaction) -> Row | None:
            await tx.execute("INSERT INTO item (note, amount, name) VALUES ($3, $1, $2)", 7, "name", "note")
            await tx.execute("UPDATE item SET note = $2, amount = amount + $1 WHERE name = $3", 1, "new", "name")
            return await tx.fetch_one(
                "SELECT CAST($2 AS TEXT) || CAST($1 AS TEXT) || CAST($2 AS TEXT) AS text, note, amount, name"
                " FROM item WHERE note = $3 AND name = $4",
                *("a", "b", "new", "name"),
            )

        row = await database.run(work)
        assert row is not None
        assert [row[column] for column in ("text", "name", "note", "amount")] == ["bab", "name", "new", 8]

    async def test_more_than_nine_parameters(self, database: Database) -> None:
        columns = ", ".join(f"CAST(${number} AS BIGINT) AS c{number}" for number in range(12, 0, -1))
        row = await database.read(lambda tx: tx.fetch_one(f"SELECT {columns}", *range(1, 13)))
        assert row is not None
        assert [row[f"c{number}"] for number in range(1, 13)] == list(range(1, 13))

    @pytest.mark.parametrize("values", [("a",), ("a", 1, 2), ()])
    async def test_a_wrong_number_of_values_is_an_error(self, database: Database, values: tuple[Value, ...]) -> None:
        with pytest.raises(StoreError):
            await database.run(lambda tx: tx.execute("INSERT INTO item (name, amount) VALUES ($1, $2)", *values))
        assert await names_in(database) == []

    @pytest.mark.parametrize(
        "values",
        [
            (0, "", b"", False, 0.0),
            (2**63 - 1, "ünï € \U0001f642 ' \" ; -- $1", bytes(range(256)), True, 1.5),
            (-(2**63), " \n\t", b"\0", None, -0.1),
            (1, None, None, None, None),
            (2, "large", b"\x5a" * 2_000_000, None, None),
            (3, "x" * 1_000_000, None, None, None),
        ],
    )
    async def test_values_come_back_as_they_went(self, database: Database, values: tuple[Value, ...]) -> None:
        async def work(tx: Transaction) -> None:
            await tx.execute("INSERT INTO thing (id, t, b, f, d) VALUES ($1, $2, $3, $4, $5)", *values)

        await database.run(work)
        row = await database.read(lambda tx: tx.fetch_one("SELECT id, t, b, f, d FROM thing"))
        assert row is not None
        assert tuple(row[column] for column in ("id", "t", "b", "f", "d")) == values

    @pytest.mark.parametrize("value", [2**63, "\ud800", object()])
    async def test_a_value_that_does_not_fit_is_a_store_error(self, database: Database, value: Any) -> None:
        column = "id" if isinstance(value, int) else "t"
        with pytest.raises(StoreError):
            await database.run(lambda tx: tx.execute(f"UPDATE thing SET {column} = $1", value))

    async def test_execute_counts_the_rows_that_it_changed(self, database: Database) -> None:
        async def work(tx: Transaction) -> list[int]:
            await tx.execute_many("INSERT INTO item (name, amount) VALUES ($1, $2)", [("a", 1), ("b", 2), ("c", 3)])
            return [
                await tx.execute("UPDATE item SET amount = 0 WHERE amount > $1", 1),
                await tx.execute("UPDATE item SET amount = 9 WHERE name = $1", "nobody"),
                await tx.execute("INSERT INTO item (name, amount) VALUES ('a', 5) ON CONFLICT DO NOTHING"),
                await tx.execute("DELETE FROM item WHERE amount = $1 RETURNING name", 0),
                await tx.execute("SELECT * FROM item"),
            ]

        assert await database.run(work) == [2, 0, 0, 2, 0]

    async def test_rows_of_a_returning(self, database: Database) -> None:
        async def work(tx: Transaction) -> tuple[Row | None, list[Row], Row | None]:
            one = await tx.fetch_one("INSERT INTO item (name, amount) VALUES ($1, $2) RETURNING amount", "a", 4)
            many = await tx.fetch("UPDATE item SET amount = amount + 1 RETURNING name, amount")
            return one, many, await tx.fetch_one("SELECT name FROM item WHERE name = $1", "nobody")

        one, many, none = await database.run(work)
        assert one is not None
        assert (one["amount"], many[0]["name"], many[0]["amount"], none) == (4, "a", 5, None)
        assert await amount_of(database, "a") == 5

    async def test_an_empty_execute_many(self, database: Database) -> None:
        await database.run(lambda tx: tx.execute_many("INSERT INTO item (name, amount) VALUES ($1, $2)", []))
        assert await names_in(database) == []

    async def test_the_dialect_fills_in_what_differs(self, database: Database) -> None:
        async def work(tx: Transaction) -> tuple[list[Row], Row | None]:
            await put(tx, "a")
            await tx.fetch(f"SELECT name FROM item ORDER BY name {tx.dialect.skip_locked}")
            rows = await tx.fetch(f"SELECT name FROM item ORDER BY name LIMIT 1 {tx.dialect.for_update}")
            return rows, await tx.fetch_one(f"SELECT {tx.dialect.now} AS now")

        rows, now = await database.run(work)
        assert [row["name"] for row in rows] == ["a"]
        assert now is not None
        assert abs(now["now"] - SystemClock().now()) < 60_000_000
        assert isinstance(now["now"], int)

    async def test_a_commit_that_does_not_wait_for_the_disk_is_a_commit(self, database: Database) -> None:
        await database.run(lambda tx: put(tx, "a"))
        for guarded in (False, True):
            sql = "UPDATE item SET amount = amount + 1 WHERE {} AND name = $1"
            await database.run(lambda tx, sql=sql: tx.write(sql.format(tx.dialect.unsynced), "a"), guarded=guarded)  # type: ignore[misc]  # no type for the default
        assert await amount_of(database, "a") == 2
