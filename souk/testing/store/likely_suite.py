"""Conformance tests of `souk.store.database`: statements with expected rows."""

import asyncio
from functools import partial

import pytest

from souk.kernel.errors import DomainError, StoreError
from souk.store.database import Database, Transaction
from souk.testing.store.suite import StoreFixtures, amount_of, names_in, put

TAKE = "UPDATE item SET amount = amount - 1 WHERE name = $1 AND amount > 0"


async def take(tx: Transaction, name: str) -> bool:
    """Takes one piece of an item; returns False when there is none."""
    return await tx.execute(TAKE, name, expect_rows=1) == 1


class LikelySuite(StoreFixtures):
    """Tests that nothing that follows from a wrong expectation leaves the transaction."""

    @pytest.mark.parametrize("guarded", [True, False])
    async def test_what_is_likely_and_so(self, database: Database, guarded: bool) -> None:
        async def work(tx: Transaction) -> list[int]:
            insert = "INSERT INTO item (name, amount) VALUES ($1, $2)"
            return [
                await tx.execute(insert, "a", 1, expect_rows=1),
                await tx.execute("INSERT INTO thing (id, t) VALUES ($1, $2)", 1, "x", expect_rows=1),
                await tx.execute("UPDATE item SET amount = amount + 1 WHERE name = $1", "a", expect_rows=1),
                await tx.execute("UPDATE item SET amount = amount + 1 WHERE name = $1", "nobody", expect_rows=0),
            ]

        assert await database.run(work, guarded=guarded) == [1, 1, 1, 0]
        assert await amount_of(database, "a") == 2

    @pytest.mark.parametrize("guarded", [True, False])
    async def test_what_is_likely_and_not_so(self, database: Database, guarded: bool) -> None:
        called: list[str] = []

        async def work(tx: Transaction) -> bool:
            await put(tx, "written", 1)
            taken = await take(tx, "nothing")
            tx.after_commit(lambda: called.append("committed"))
            return taken

        assert await database.run(work, guarded=guarded) is False
        assert await names_in(database) == ["written"]
        assert called == ["committed"]

    async def test_nothing_is_left_of_a_try_that_assumed_wrongly(self, database: Database) -> None:
        tries: list[int] = []

        async def work(tx: Transaction) -> int:
            tries.append(len(tries))
            await tx.execute("INSERT INTO thing (id, t) VALUES ($1, $2)", len(tries), "x", expect_rows=1)
            return await tx.execute(TAKE, "nothing", expect_rows=1)

        assert await database.run(work, guarded=True) == 0
        rows = await database.read(lambda tx: tx.fetch("SELECT id FROM thing"))
        assert [row["id"] for row in rows] == [len(tries)]

    async def test_a_refusal_that_rests_on_an_assumption_is_not_believed(self, database: Database) -> None:
        async def work(tx: Transaction) -> str:
            if await take(tx, "nothing"):
                raise DomainError("TAKEN", "somebody took what is not there")
            return "nothing to take"

        assert await database.run(work, guarded=True) == "nothing to take"

    async def test_a_refusal_that_rests_on_what_is_so_is_believed(self, database: Database) -> None:
        await database.run(lambda tx: put(tx, "a", 1))

        async def work(tx: Transaction) -> None:
            if await take(tx, "a"):
                raise DomainError("TAKEN", "it is rolled back")

        with pytest.raises(DomainError, match="TAKEN"):
            await database.run(work, guarded=True)
        assert await amount_of(database, "a") == 1

    async def test_a_read_after_it_sees_what_it_did(self, database: Database) -> None:
        await database.run(lambda tx: put(tx, "a", 2))

        async def work(tx: Transaction) -> int:
            assert await take(tx, "a")
            row = await tx.fetch_one("SELECT amount FROM item WHERE name = $1", "a")
            assert row is not None
            return int(row["amount"])

        assert await database.run(work, guarded=True) == 1

    async def test_a_wrong_assumption_is_found_out_before_a_read(self, database: Database) -> None:
        async def work(tx: Transaction) -> tuple[bool, int]:
            taken = await take(tx, "nothing")
            return taken, len(await tx.fetch("SELECT name FROM item"))

        assert await database.run(work, guarded=True) == (False, 0)

    async def test_the_last_of_many_at_once(self, database: Database, other: Database) -> None:
        """No one takes a piece that does not exist, or gets a wrong answer about it."""
        await database.run(lambda tx: put(tx, "a", 20))

        async def work(tx: Transaction, number: int) -> bool:
            taken = await take(tx, "a")
            if taken:
                await tx.write("INSERT INTO thing (id, t) VALUES ($1, $2)", number, "taken")
            return taken

        takers = enumerate((database, other) * 25)
        taken = await asyncio.gather(*(one.run(partial(work, number=number), guarded=True) for number, one in takers))
        assert sum(taken) == 20
        assert await amount_of(database, "a") == 0
        rows = await database.read(lambda tx: tx.fetch("SELECT id FROM thing ORDER BY id"))
        assert [row["id"] for row in rows] == [number for number, one in enumerate(taken) if one]

    async def test_an_error_of_another_statement_is_that_error(self, database: Database) -> None:
        async def work(tx: Transaction) -> None:
            await tx.execute("INSERT INTO thing (id, t) VALUES ($1, $2)", 1, "x", expect_rows=1)
            await tx.write("INSERT INTO item (name, amount) VALUES ($1, $2)", "a", None)

        with pytest.raises(StoreError):
            await database.run(work, guarded=True)
        assert await database.read(lambda tx: tx.fetch("SELECT id FROM thing")) == []

    @pytest.mark.parametrize("read", [True, False])
    async def test_an_error_that_rests_on_an_assumption_is_not_believed(self, database: Database, read: bool) -> None:
        """Statements sent with a wrong expectation run all the same; here the next one violates a constraint."""

        async def work(tx: Transaction) -> bool:
            if not await take(tx, "a"):
                return False
            await tx.write("INSERT INTO thing (id, t) VALUES ($1, $2)", 1, "the one that was there")
            if read:
                await tx.fetch("SELECT id FROM thing")
            return True

        await database.run(lambda tx: put(tx, "a", 1))
        assert [await database.run(work, guarded=True) for _ in range(2)] == [True, False]
        rows = await database.read(lambda tx: tx.fetch("SELECT id FROM thing"))
        assert len(rows) == 1

    async def test_a_read_tells_nothing_likely(self, database: Database) -> None:
        for single in (True, False):
            with pytest.raises(StoreError):
                await database.read(lambda tx: take(tx, "a"), single=single)
