"""Conformance tests of `souk.store.database`: callbacks after commits, foreign awaits, locks, cancellation."""

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable

import pytest

from souk.kernel.errors import DomainError, ForeignAwait, StoreError
from souk.kernel.transaction_guard import in_transaction
from souk.store.database import Database, Transaction
from souk.testing.store.suite import StoreFixtures, amount_of, increment, names_in, put

_mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="none")


async def _refuse(tx: Transaction) -> None:
    raise DomainError("NO", "rolled back")


async def _sleep(tx: Transaction) -> None:
    await asyncio.sleep(0)


async def _wait_for_event(tx: Transaction) -> None:
    await asyncio.Event().wait()


async def _run_two_at_once(tx: Transaction) -> None:
    await asyncio.gather(tx.fetch("SELECT 1"), tx.fetch("SELECT 2"), return_exceptions=True)


async def _clean_up_slowly(tx: Transaction) -> None:
    try:
        await asyncio.sleep(0)
    finally:
        await asyncio.sleep(0)


class AfterCommitSuite(StoreFixtures):
    """Tests of callbacks and notifications after a commit."""

    async def test_callbacks_run_on_the_loop_once_the_commit_is_durable(
        self, database: Database, other: Database
    ) -> None:
        threads: list[int] = []
        reads: list[asyncio.Future[list[str]]] = []

        async def work(tx: Transaction) -> None:
            await put(tx, "a")
            tx.after_commit(lambda: threads.append(threading.get_ident()))
            tx.after_commit(lambda: reads.append(asyncio.ensure_future(names_in(other))))

        await database.run(work)
        assert threads == [threading.get_ident()]
        assert await reads[0] == ["a"]

    async def test_nothing_leaves_a_transaction_that_is_rolled_back(self, database: Database) -> None:
        notified: list[str] = []

        async def work(tx: Transaction) -> None:
            tx.after_commit(lambda: notified.append("callback"))
            await tx.notify("channel")
            await _refuse(tx)

        database.listen("channel", lambda: notified.append("notified"))
        with pytest.raises(DomainError):
            await database.run(work)
        await database.run(lambda tx: put(tx, "a"))
        assert notified == []

    async def test_a_callback_that_fails_takes_nobody_with_it(self, database: Database) -> None:
        reported: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, what: reported.append(what["exception"]))
        called: list[str] = []

        def fail() -> None:
            raise ValueError("in a callback")

        async def work(tx: Transaction) -> None:
            tx.after_commit(fail)
            tx.after_commit(lambda: called.append("next"))

        await database.run(work)
        assert called == ["next"]
        assert [str(error) for error in reported] == ["in a callback"]

    async def test_callbacks_do_not_act_for_whoever_committed(self, database: Database) -> None:
        marks: list[str] = []
        notified = asyncio.Event()

        async def work(tx: Transaction) -> None:
            tx.after_commit(lambda: marks.append(_mark.get()))
            await tx.notify("channel")

        database.listen("channel", lambda: marks.append(_mark.get()))
        database.listen("channel", notified.set)
        _mark.set("caller")
        await database.run(work)
        await asyncio.wait_for(notified.wait(), 30)
        assert marks == ["none", "none"]

    async def test_callbacks_are_called_once_however_often_the_work_ran(
        self, database: Database, other: Database
    ) -> None:
        called: list[int] = []

        async def work(tx: Transaction) -> None:
            amount = await increment(tx)
            tx.after_commit(lambda: called.append(amount))

        await database.run(lambda tx: put(tx, "counter"))
        await asyncio.gather(*(way.run(work) for _ in range(10) for way in (database, other)))
        assert sorted(called) == list(range(1, 21))

    async def test_a_notification_wakes_those_who_listen_until_they_stop(self, database: Database) -> None:
        woken, notified = asyncio.Event(), list[str]()
        stop = database.listen("gone", lambda: notified.append("gone"))
        database.listen("other", lambda: notified.append("other"))
        database.listen("it's me", woken.set)
        stop()
        stop()

        async def work(tx: Transaction) -> None:
            await tx.notify("it's me")
            await tx.notify("gone")

        await database.run(work)
        await asyncio.wait_for(woken.wait(), 30)
        assert notified == []

    async def test_a_read_has_no_commit(self, database: Database) -> None:
        async def after_commit(tx: Transaction) -> None:
            tx.after_commit(lambda: None)

        for work in (after_commit, lambda tx: tx.notify("channel"), lambda tx: tx.lock("name")):
            with pytest.raises(StoreError):
                await database.read(work)


class ForeignAwaitSuite(StoreFixtures):
    """Tests that a transaction can await only its own database."""

    @pytest.mark.parametrize("wait", [_sleep, _wait_for_event, _run_two_at_once, _clean_up_slowly])
    async def test_a_foreign_await_is_an_error_and_rolls_back(
        self, database: Database, wait: Callable[[Transaction], Awaitable[None]]
    ) -> None:
        async def work(tx: Transaction) -> None:
            await put(tx, "a")
            await wait(tx)

        with pytest.raises(ForeignAwait):
            await database.run(work)
        assert await names_in(database) == []

    async def test_the_database_is_usable_after_it(self, database: Database) -> None:
        for _ in range(15):
            with pytest.raises(ForeignAwait):
                await database.run(_sleep)
            with pytest.raises(ForeignAwait):
                await database.read(_sleep)
        await database.run(lambda tx: put(tx, "a"))
        assert await names_in(database) == ["a"]

    async def test_a_transaction_inside_a_transaction_is_foreign(self, database: Database, other: Database) -> None:
        for inner in (database.run, database.read, other.run, other.read):

            async def work(tx: Transaction, inner: Callable[..., Awaitable[None]] = inner) -> None:
                await put(tx, "a")
                await inner(_refuse)

            with pytest.raises(ForeignAwait):
                await database.run(work)
        assert await names_in(database) == []

    async def test_channels_can_tell_that_a_transaction_is_open(self, database: Database) -> None:
        async def work(tx: Transaction) -> list[bool]:
            before = in_transaction()
            await tx.fetch("SELECT 1")
            return [before, in_transaction()]

        ways = [asyncio.ensure_future(way(work)) for way in (database.run, database.read)]
        assert not in_transaction()
        assert await asyncio.gather(*ways) == [[True, True], [True, True]]
        assert not in_transaction()

    async def test_work_runs_in_the_context_of_its_caller(self, database: Database) -> None:
        async def work(tx: Transaction) -> str:
            return _mark.get()

        async def caller(mark: str) -> str:
            _mark.set(mark)
            return await database.run(work)

        marks = [str(n) for n in range(10)]
        assert await asyncio.gather(*map(caller, marks)) == marks


class LockSuite(StoreFixtures):
    """Tests of named locks."""

    async def test_a_lock_lets_one_in_at_a_time(self, database: Database, other: Database) -> None:
        async def work(tx: Transaction) -> None:
            await tx.lock("numbers")
            row = await tx.fetch_one("SELECT count(*) AS n FROM item")
            assert row is not None
            await put(tx, str(row["n"]))

        await asyncio.gather(*(way.run(work) for _ in range(8) for way in (database, other)))
        assert sorted(map(int, await names_in(database))) == list(range(16))

    async def test_locks_in_any_order_do_not_block_each_other_for_ever(
        self, database: Database, other: Database
    ) -> None:
        async def work(tx: Transaction, *names: str) -> None:
            for name in names:
                await tx.lock(name)
            await increment(tx)
            await tx.lock(names[0])

        await database.run(lambda tx: put(tx, "counter"))
        await asyncio.gather(
            *(database.run(lambda tx: work(tx, "a", "b")) for _ in range(5)),
            *(other.run(lambda tx: work(tx, "b", "a")) for _ in range(5)),
        )
        assert await amount_of(database, "counter") == 10

    async def test_a_lock_ends_with_its_transaction_however_that_ends(
        self, database: Database, other: Database
    ) -> None:
        async def work(tx: Transaction) -> None:
            await tx.lock("name")
            await _refuse(tx)

        for _ in range(12):
            with pytest.raises(DomainError):
                await database.run(work)
        await asyncio.wait_for(other.run(lambda tx: tx.lock("name")), 30)


class CancellationSuite(StoreFixtures):
    """Tests of callers that are cancelled."""

    @pytest.mark.parametrize("turns", range(6))
    async def test_a_cancelled_transaction_is_whole_or_not_there(self, database: Database, turns: int) -> None:
        async def work(tx: Transaction, name: str) -> None:
            await put(tx, f"{name}-1")
            await put(tx, f"{name}-2")

        def started(name: str) -> asyncio.Future[None]:
            return asyncio.ensure_future(database.run(lambda tx: work(tx, name)))

        tasks = {f"{n:02}": started(f"{n:02}") for n in range(20)}
        for _ in range(turns):
            await asyncio.sleep(0)
        for name, task in tasks.items():
            if int(name) % 2:
                task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        names = await names_in(database)
        halves = [sum(name.startswith(task) for name in names) for task in tasks]
        assert set(halves) <= {0, 2}
        assert all(half == 2 for half, (name, task) in zip(halves, tasks.items(), strict=True) if not task.cancelled())

    async def test_the_database_is_usable_after_it(self, database: Database) -> None:
        await database.run(lambda tx: put(tx, "counter"))
        for _ in range(15):
            task = asyncio.ensure_future(database.run(increment))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        before = await amount_of(database, "counter")
        assert await database.run(increment) == before + 1
