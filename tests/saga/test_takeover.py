"""Taking runs over: in batches, in time, in the order in which they became due, while there is room for them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from souk.kernel.clock import SystemClock
from souk.saga.definition import SagaRef
from souk.saga.runner import SagaOutcome, SagaRunner, SagaSettings
from souk.saga.takeover.due import due_runs, next_due
from souk.saga.takeover.taken import take
from souk.store.database import Row, Transaction, Value
from souk.store.postgres.database import PostgresDatabase
from souk.testing.postgres import TemporaryPostgres, postgres_server  # noqa: F401 - fixture
from souk.testing.saga_suite import PATIENCE, VANISH, Shop, violations
from tests.saga.conftest import OpenShop

CLOCK = SystemClock()
LOOKS_SELDOM = SagaSettings(lease=3_600.0, claim=3_600.0, poll=0.02, pause=0.002, longest_pause=0.01)
"""A runner that looks by itself once an hour: only who is woken, or knows when to look, is in time."""
NOBODY = SagaSettings(lease=0.0)
"""Whoever starts runs with these has lost them at once."""


@pytest.fixture
async def at_work() -> AsyncIterator[Callable[..., SagaRunner]]:
    tasks: list[asyncio.Task[None]] = []

    def start(shop: Shop, owner: str = "A", settings: SagaSettings = LOOKS_SELDOM) -> SagaRunner:
        runner = idle(shop, owner, settings)
        tasks.append(asyncio.create_task(runner.run()))
        return runner

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


Working = Callable[..., SagaRunner]


def idle(shop: Shop, owner: str = "idle", settings: SagaSettings = NOBODY) -> SagaRunner:
    return SagaRunner(shop.database, [shop.saga()], CLOCK, owner, settings, service="order")


async def abandoned(shop: Shop, count: int) -> list[SagaRef]:
    """Starts runs that nobody drives, the first of which is due for longest."""
    starter = idle(shop)
    await starter.close()
    return [await shop.start(starter, f"O-{number}") for number in range(count)]


async def ended(shop: Shop, runner: SagaRunner, *refs: SagaRef) -> None:
    for ref in refs:
        progress = await runner.wait_ended(ref, CLOCK.monotonic() + 6 * PATIENCE)
        assert progress.outcome is SagaOutcome.COMMITTED
        assert await violations(shop, progress, ref.subject) == []


@dataclass
class CountingTransaction:
    """Counts the statements of a transaction."""

    tx: Transaction
    statements: int = 0

    @property
    def dialect(self) -> Any:
        return self.tx.dialect

    async def fetch(self, sql: str, *values: Value) -> list[Row]:
        self.statements += 1
        return await self.tx.fetch(sql, *values)


async def test_however_many_runs_are_taken_over_it_takes_five_statements(open_shop: OpenShop) -> None:
    shop = await open_shop(approval=3_600.0)
    runner = idle(shop, settings=LOOKS_SELDOM)
    refs = [await shop.start(runner, f"O-{number}", attempt=1 + number % 2) for number in range(37)]
    while runner._tasks:
        await asyncio.gather(*runner._tasks.values())
    for ref in refs:
        await shop.deliver(runner, ref.subject, message_id=ref.subject)

    async def work(tx: Transaction) -> int:
        counting: Any = CountingTransaction(tx)
        due = await due_runs(counting, 100, runner.versions)
        held = await take(counting, due, "B", 1_000_000, runner.versions.step_names)
        assert [one.ref for one in held] == due == refs, "the one that waits longest is first"
        assert [one.news is not None and one.news.message for one in held] == [b"\n\x03yes"] * 37
        assert {one.run.awaiting for one in held} == {1}
        return int(counting.statements)

    assert await shop.database.run(work, guarded=True) == 5
    assert await shop.database.run(partial(due_runs, limit=100, versions=runner.versions)) == []
    await runner.close()


async def test_who_is_not_there_cannot_be_taken_over(open_shop: OpenShop) -> None:
    shop = await open_shop()
    (ref,) = await abandoned(shop, 1)
    strange, names = SagaRef("place", "O-9", 1), idle(shop).versions.step_names
    with pytest.raises(LookupError, match="O-9"):
        await shop.database.run(lambda tx: take(tx, [ref, strange], "B", 0, names))


async def test_runs_are_due_in_the_order_in_which_their_messages_came(open_shop: OpenShop) -> None:
    shop = await open_shop(approval=3_600.0)
    runner = idle(shop, settings=LOOKS_SELDOM)
    for number in range(4):
        await shop.start(runner, f"O-{number}")
    while runner._tasks:
        await asyncio.gather(*runner._tasks.values())
    assert 3_500 < await shop.database.read(next_due) <= 3_600
    for number in (2, 0, 3, 1):
        await shop.deliver(runner, f"O-{number}", message_id=f"M-{number}")
    due = await shop.database.run(partial(due_runs, limit=3, versions=runner.versions))
    assert [ref.subject for ref in due] == ["O-2", "O-0", "O-3"]
    await runner.close()


async def test_no_more_runs_are_driven_at_once_than_there_is_room_for(open_shop: OpenShop, at_work: Working) -> None:
    shop = await open_shop()
    gates = [asyncio.Event() for _ in range(11)]
    shop.bank.does.extend(gates)
    refs = await abandoned(shop, 11)
    settings = SagaSettings(claim=0.02, claim_at_once=2, taken_at_once=4, poll=0.02)
    runner = at_work(shop, "A", settings)
    for number, gate in enumerate(gates):
        await until(lambda least=number: len(charges(shop)) > least)
        assert len(runner._tasks) <= 4
        gate.set()
    await ended(shop, runner, *refs)
    order = [int(key.split(":")[0].removeprefix("O-")) for key in charges(shop)]
    assert all(abs(index - number) < 4 for index, number in enumerate(order)), "the order in which they became due"


async def test_runs_that_wait_for_a_participant_keep_no_other_out(open_shop: OpenShop, at_work: Working) -> None:
    shop = await open_shop()
    shop.stock.does.extend([VANISH] * 3)
    refs = await abandoned(shop, 6)
    slow = SagaSettings(claim=0.02, claim_at_once=1, taken_at_once=1, poll=0.02, pause=3_600.0, longest_pause=3_600.0)
    runner = at_work(shop, "A", slow)
    await ended(shop, runner, *refs[3:])
    assert len(runner._tasks) == 3, "they pause for an hour between two tries"


async def test_whoever_has_no_room_goes_on_when_a_run_ends(open_shop: OpenShop, at_work: Working) -> None:
    shop = await open_shop()
    refs = await abandoned(shop, 30)
    runner = at_work(shop, "A", SagaSettings(claim=3_600.0, claim_at_once=3, taken_at_once=5, poll=0.02))
    await ended(shop, runner, *refs)


async def test_a_timer_ends_at_its_time(open_shop: OpenShop, at_work: Working) -> None:
    shop = await open_shop(approval=3_600.0, cooling=0.3)
    runner = at_work(shop)
    await shop.deliver(runner)
    await ended(shop, runner, await shop.start(runner))


async def test_the_time_of_a_lease_is_known_as_well(open_shop: OpenShop, at_work: Working) -> None:
    shop = await open_shop()
    dead = idle(shop, "dead", SagaSettings(lease=0.3))
    await dead.close()
    ref = await shop.start(dead)
    await ended(shop, at_work(shop), ref)


async def test_a_timer_that_another_process_set_ends_at_its_time(
    tmp_path: Path,
    postgres_server: TemporaryPostgres,  # noqa: F811
    at_work: Working,
) -> None:
    url = await postgres_server.create_database()
    shops = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        database = await PostgresDatabase.open(url)
        shops.append(await Shop.open(tmp_path, database=database, approval=3_600.0, cooling=0.3))
    here, there = shops
    runner, other = at_work(here), idle(there, settings=LOOKS_SELDOM)
    await there.deliver(other)
    ref = await there.start(other)
    await ended(here, runner, ref)
    assert there.depot.calls == []
    await other.close()
    for shop in shops:
        await shop.close()


def charges(shop: Shop) -> list[str]:
    return [key for what, key in shop.bank.calls if what == "do"]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(6 * PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)
