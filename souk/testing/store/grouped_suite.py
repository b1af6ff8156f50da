"""Conformance tests of `souk.store.database`: transactions that may be committed together."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from souk.kernel.errors import DomainError, ForeignAwait, StoreError
from souk.store.database import Database, Transaction
from souk.testing.store.likely_suite import take
from souk.testing.store.suite import StoreFixtures, amount_of, names_in, put

INSERT = "INSERT INTO item (name, amount) VALUES ($1, $2)"


async def write(tx: Transaction, name: str, amount: int | None = 0, *, done: Callable[[], None] | None = None) -> str:
    """Inserts an item without waiting; `done` is called after the commit. An amount of None is refused."""
    await tx.write(INSERT, name, amount)
    if done is not None:
        tx.after_commit(done)
    return name


class GroupedSuite(StoreFixtures):
    """Tests that a grouped transaction is a transaction of its own, whatever becomes of those beside it."""

    async def test_many_at_once(self, database: Database) -> None:
        names, called = [f"{number:03}" for number in range(200)], list[str]()
        works = [partial(write, name=name, done=partial(called.append, name)) for name in names]
        assert await asyncio.gather(*(database.run(work, guarded=True, grouped=True) for work in works)) == names
        assert (await names_in(database), sorted(called)) == (names, names)

    async def test_one_that_fails_fails_alone(self, database: Database) -> None:
        called: list[str] = []
        works = [partial(write, name=f"{n}", amount=n or None, done=partial(called.append, f"{n}")) for n in range(9)]
        ends = await asyncio.gather(
            *(database.run(work, guarded=True, grouped=True) for work in works), return_exceptions=True
        )
        assert isinstance(ends[0], StoreError)
        assert ends[1:] == await names_in(database) == sorted(called) == list("12345678")

    async def test_of_two_with_the_same_key_one_fails(self, database: Database) -> None:
        works = [partial(write, name=name) for name in ("a", "b", "a", "c")]
        ends = await asyncio.gather(
            *(database.run(work, guarded=True, grouped=True) for work in works), return_exceptions=True
        )
        assert [isinstance(end, StoreError) for end in ends].count(True) == 1
        assert await names_in(database) == ["a", "b", "c"]

    async def test_what_is_assumed_is_true_for_each(self, database: Database) -> None:
        """Both copies take from one shelf, with which not all of them can be served."""
        await database.run(lambda tx: put(tx, "a", 20))
        taken = await asyncio.gather(
            *(database.run(partial(take, name="a"), guarded=True, grouped=True) for _ in range(50))
        )
        assert (sum(taken), await amount_of(database, "a")) == (20, 0)

    async def test_work_that_reads(self, database: Database) -> None:
        async def work(tx: Transaction, name: str) -> int:
            await write(tx, name)
            return len(await tx.fetch("SELECT name FROM item"))

        names = ["a", "b", "c"]
        works = [partial(work, name=name) for name in names]
        counts = await asyncio.gather(*(database.run(one, guarded=True, grouped=True) for one in works))
        assert (await names_in(database), min(counts) >= 1) == (names, True)

    async def test_work_that_takes_a_lock_or_writes_nothing(self, database: Database) -> None:
        called: list[str] = []

        async def locks(tx: Transaction) -> str:
            await tx.lock("lock")
            return await write(tx, "a")

        async def writes_nothing(tx: Transaction) -> None:
            tx.after_commit(lambda: called.append("nothing"))

        assert await database.run(locks, guarded=True, grouped=True) == "a"
        await database.run(writes_nothing, guarded=True, grouped=True)
        assert (await names_in(database), called) == (["a"], ["nothing"])

    async def test_an_exception_of_the_work_rolls_back_that_work_alone(self, database: Database) -> None:
        async def refuses(tx: Transaction) -> None:
            await write(tx, "refused")
            raise DomainError("REFUSED", "it is rolled back")

        async def awaits(tx: Transaction) -> None:
            await write(tx, "foreign")
            await asyncio.sleep(0)

        ends = await asyncio.gather(
            *(database.run(work, guarded=True, grouped=True) for work in (refuses, partial(write, name="a"), awaits)),
            return_exceptions=True,
        )
        assert [type(end) for end in ends] == [DomainError, str, ForeignAwait]
        assert await names_in(database) == ["a"]

    async def test_it_wakes_listeners(self, database: Database) -> None:
        woken = asyncio.Event()
        database.listen("news", woken.set)

        async def work(tx: Transaction) -> None:
            await write(tx, "a")
            await tx.notify("news")

        await database.run(work, guarded=True, grouped=True)
        await asyncio.wait_for(woken.wait(), 30)

    @pytest.mark.parametrize("steps", range(4))
    async def test_a_caller_that_is_cancelled_cancels_nobody_else(self, database: Database, steps: int) -> None:
        """The cancelled one is committed with its callback, or neither."""
        called: list[str] = []
        works = [partial(write, name=name, done=partial(called.append, name)) for name in ("a", "b", "c")]
        tasks = [asyncio.create_task(database.run(work, guarded=True, grouped=True)) for work in works]
        for _ in range(steps):
            await asyncio.sleep(0)
        tasks[1].cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert (ends[0], ends[2]) == ("a", "c")
        assert await names_in(database) == sorted(called)
        assert ("b" in called) or isinstance(ends[1], asyncio.CancelledError)
