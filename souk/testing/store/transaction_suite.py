"""Conformance tests of `souk.store.database`: transactions are atomic and serialised."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from souk.kernel.errors import DomainError, StoreError, StoreUnavailable
from souk.store.database import Database, Transaction
from souk.testing.store.suite import StoreFixtures, amount_of, increment, names_in, put


class TransactionSuite(StoreFixtures):
    """Tests of atomicity, isolation and durability as a caller sees them."""

    async def test_an_error_rolls_back_that_transaction_alone(self, database: Database) -> None:
        async def work(tx: Transaction, name: int) -> int:
            await put(tx, f"{name:02}", name)
            if name % 3 == 0:
                raise DomainError("NO", "thirds are refused")
            return name

        ended = await asyncio.gather(
            *(database.run(lambda tx, n=n: work(tx, n)) for n in range(20)),  # type: ignore[misc]  # no type for the default
            return_exceptions=True,
        )
        kept = [n for n in range(20) if n % 3]
        assert [n for n in ended if isinstance(n, int)] == kept
        assert all(isinstance(n, int | DomainError) for n in ended)
        assert await names_in(database) == [f"{n:02}" for n in kept]

    @pytest.mark.parametrize("error", [ValueError("v"), TypeError("t"), OSError("o"), TimeoutError("t"), KeyError("k")])
    async def test_what_the_work_raises_is_raised_as_it_is(self, database: Database, error: Exception) -> None:
        async def work(tx: Transaction) -> None:
            await put(tx, "a")
            raise error

        for way in (database.run, database.read):
            with pytest.raises(type(error)) as caught:
                await way(work if way == database.run else _raising(error))
            assert caught.value is error
        assert await names_in(database) == []

    async def test_a_failed_statement_fails_the_transaction_even_if_the_work_goes_on(self, database: Database) -> None:
        async def work(tx: Transaction) -> str:
            await put(tx, "a")
            for sql in ("INSERT INTO item (name, amount) VALUES ('a', 1)", "SELECT 1"):
                with pytest.raises(StoreError):
                    await tx.execute(sql)
            return "swallowed"

        with pytest.raises(StoreError):
            await database.run(work)
        assert await names_in(database) == []

    @pytest.mark.parametrize("sql", ["SELEC 1", "SELECT nothing FROM nowhere", "INSERT INTO item (name) VALUES ('a')"])
    async def test_a_bad_statement_is_a_store_error(self, database: Database, sql: str) -> None:
        with pytest.raises(StoreError) as caught:
            await database.run(lambda tx: tx.execute(sql))
        assert not isinstance(caught.value, StoreUnavailable)

    @pytest.mark.parametrize("guarded", [False, True])
    async def test_no_update_is_lost(self, database: Database, other: Database, guarded: bool) -> None:
        await database.run(lambda tx: put(tx, "counter"))
        values = await asyncio.gather(*(way.run(increment, guarded=guarded) for way in (database, other) * 25))
        assert sorted(values) == list(range(1, 51))
        assert await amount_of(database, "counter") == 50

    async def test_no_write_skew(self, database: Database, other: Database) -> None:
        async def leave(tx: Transaction, name: str) -> None:
            row = await tx.fetch_one("SELECT count(*) AS here FROM item WHERE amount = 1")
            if row is not None and row["here"] > 1:
                await tx.execute("UPDATE item SET amount = 0 WHERE name = $1", name)

        everyone = [f"doctor {n}" for n in range(12)]
        rows = [(name, 1) for name in everyone]
        await database.run(lambda tx: tx.execute_many("INSERT INTO item (name, amount) VALUES ($1, $2)", rows))
        ways = (database, other)
        await asyncio.gather(*(ways[n % 2].run(_given(leave, name)) for n, name in enumerate(everyone)))
        assert sum([await amount_of(database, name) for name in everyone]) == 1

    async def test_a_read_sees_every_write_that_has_returned(self, database: Database, other: Database) -> None:
        await database.run(lambda tx: put(tx, "counter"))
        for n in range(1, 31):
            await database.run(increment)
            assert await amount_of(database, "counter") == n
            assert await amount_of(other, "counter") == n

    async def test_a_read_is_one_snapshot(self, database: Database, other: Database) -> None:
        async def transfer(tx: Transaction) -> None:
            await tx.execute("UPDATE item SET amount = amount - 1 WHERE name = 'a'")
            await tx.execute("UPDATE item SET amount = amount + 1 WHERE name = 'b'")

        async def total(tx: Transaction) -> int:
            rows = [await tx.fetch_one("SELECT amount FROM item WHERE name = $1", name) for name in ("a", "b")]
            return sum(row["amount"] for row in rows if row is not None)

        await database.run(lambda tx: put(tx, "a", 100))
        await database.run(lambda tx: put(tx, "b", 0))
        ended = await asyncio.gather(
            *(work for _ in range(20) for work in (database.run(transfer), other.read(total), database.read(total)))
        )
        assert {total for total in ended if total is not None} == {100}

    async def test_a_read_may_not_write(self, database: Database) -> None:
        insert = "INSERT INTO item (name, amount) VALUES ($1, $2)"
        for write in (
            lambda tx: put(tx, "a"),
            lambda tx: tx.write(insert, "a", 1),
            lambda tx: tx.execute(insert, "a", 1, expect_rows=1),
            lambda tx: tx.execute_many(insert, [("a", 1)]),
        ):
            for single in (True, False):
                with pytest.raises(StoreError) as caught:
                    await database.read(write, single=single)
                assert not isinstance(caught.value, StoreUnavailable)
        assert await names_in(database) == []

    async def test_a_single_read_is_one_statement_and_writes_nothing(self, database: Database, other: Database) -> None:
        await other.run(lambda tx: put(tx, "a", 5))

        async def twice(tx: Transaction) -> None:
            for _ in range(2):
                with suppress(StoreError):
                    await tx.fetch("SELECT name FROM item")

        async def write(tx: Transaction) -> None:
            await tx.fetch("INSERT INTO item (name, amount) VALUES ('b', 1) RETURNING name")

        for work in (twice, write, lambda tx: put(tx, "b"), lambda tx: tx.fetch("SELECT nothing")):
            with pytest.raises(StoreError):
                await database.read(work, single=True)
        row = await database.read(lambda tx: tx.fetch_one("SELECT name, amount FROM item"), single=True)
        assert row is not None
        assert (row["name"], row["amount"]) == ("a", 5)
        await database.run(lambda tx: put(tx, "c"))
        assert await names_in(database) == ["a", "c"]

    async def test_a_transaction_that_has_ended_lets_nothing_through(self, database: Database) -> None:
        kept: list[Transaction] = []

        async def work(tx: Transaction) -> None:
            kept.append(tx)

        await database.run(work)
        await database.read(work)
        for tx in kept:
            with pytest.raises(StoreError):
                await tx.execute("SELECT 1")
            with pytest.raises(StoreError):
                tx.after_commit(lambda: None)

    async def test_closing_waits_for_what_runs_and_ends_the_rest(self, database: Database, other: Database) -> None:
        running = [asyncio.ensure_future(database.run(_given(put, f"{n:02}"))) for n in range(8)]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(database.close())
        ended = await asyncio.gather(*running, return_exceptions=True)
        await closing
        assert len(await names_in(other)) == sum(error is None for error in ended)
        for way in (database.run, database.read):
            with pytest.raises(StoreUnavailable):
                await way(lambda tx: tx.fetch("SELECT 1"))


def _given(work: Callable[[Transaction, str], Awaitable[None]], name: str) -> Callable[[Transaction], Awaitable[None]]:
    return lambda tx: work(tx, name)


def _raising(error: Exception) -> Callable[[Transaction], Awaitable[None]]:
    async def work(tx: Transaction) -> None:
        raise error

    return work
