"""The read model is made anew while orders are placed, on both databases: nothing is missing, and nothing is older."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from shop.order.v1 import order_pb2 as pb

from marketplace.order.domain.order import Order
from marketplace.order.events import Item, OrderConfirmed, OrderPlaced, StockReserved
from marketplace.order.store import projection as module
from marketplace.order.store.projection import ReadModelProjection
from marketplace.order.store.read_model import READ_MODEL
from souk.faults import Faults
from souk.projections.rebuild import FAULT_POINTS, Rebuild, RebuildHeld, RebuildStep
from souk.projections.records import RebuildPhase
from souk.store.database import Transaction

Shop = Any
PLACED = OrderPlaced("U-1", (Item("P-1", 2, 1200),), 2400, "EUR", "ADDR-1", "card")


class Died(BaseException):
    """What stands for the end of the process."""


def die() -> None:
    raise Died


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 3)


def rebuild_of(shop: Shop, faults: Faults | None = None) -> Rebuild:
    projection = ReadModelProjection(shop.host.database, shop.deps.orders.read_model)
    return Rebuild(READ_MODEL, projection, shop.host.database, faults or Faults(), rest=0.0)


async def placed(shop: Shop, *numbers: int) -> None:
    for number in numbers:

        async def place(tx: Transaction, number: int = number) -> None:
            order = await shop.deps.orders.change(tx, Order(f"ORD-{number:04}"), [PLACED])
            await shop.deps.orders.change(tx, order, [StockReserved(1)])

        await shop.host.database.run(place, guarded=True)


async def confirm(shop: Shop, number: int) -> None:
    async def work(tx: Transaction) -> None:
        order = await shop.deps.orders.load(tx, f"ORD-{number:04}")
        await shop.deps.orders.change(tx, order, [OrderConfirmed("PAY-1")])

    await shop.host.database.run(work, guarded=True)


async def steps(rebuild: Rebuild, *, anew: bool = False) -> list[RebuildStep]:
    async with aclosing(rebuild.run(anew=anew)) as found:
        return [step async for step in found]


async def differences(shop: Shop) -> list[str]:
    async with aclosing(rebuild_of(shop).check()) as found:
        return [line async for _, _, lines in found for line in lines]


async def rows(shop: Shop) -> list[tuple[Any, ...]]:
    sql = "SELECT id, generation, status FROM orders ORDER BY id, generation"
    return [tuple(row) for row in await shop.host.database.read(lambda tx: tx.fetch(sql), single=True)]


async def execute(shop: Shop, sql: str) -> None:
    await shop.host.database.run(lambda tx: tx.execute(sql))


async def shown(shop: Shop) -> list[str]:
    return [order.id for order in (await shop.read.page("U-1", pb.ListOrdersRequest(page_size=100))).orders]


async def test_it_makes_what_is_lost_and_wrong_anew(shop: Shop) -> None:
    await placed(shop, *range(10))
    await confirm(shop, 4)
    before = await shop.read.page("U-1", pb.ListOrdersRequest())
    await execute(shop, "DELETE FROM orders WHERE id < 'ORD-0003'")
    await execute(shop, "UPDATE orders SET status = 'SHIPPED' WHERE id = 'ORD-0004'")
    await execute(
        shop, "UPDATE orders SET body = (SELECT body FROM orders WHERE id = 'ORD-0004') WHERE id = 'ORD-0005'"
    )
    await execute(
        shop,
        "INSERT INTO orders (id, user_id, status, created_at, body, generation)"
        " SELECT 'ORD-9999', user_id, status, created_at, body, generation FROM orders WHERE id = 'ORD-0006'",
    )
    found = await differences(shop)
    assert [line.partition(":")[0] for line in found] == [f"ORD-{n:04}" for n in (0, 1, 2, 4, 5, 9999)]
    assert found[0] == "ORD-0000: has no row"
    assert found[3] == "ORD-0004: status is 'SHIPPED', not 'CONFIRMED'"
    assert found[4].startswith("ORD-0005: the order that is shown differs in id, status, payment_id")
    assert found[5] == "ORD-9999: has a row, and no events"
    last = (await steps(rebuild_of(shop)))[-1].record
    assert (last.phase, last.done, last.total, last.running) == (RebuildPhase.DONE, 10, 10, False)
    assert await differences(shop) == []
    assert await shop.read.page("U-1", pb.ListOrdersRequest()) == before
    assert {generation for _, generation, _ in await rows(shop)} == {2}


async def test_a_change_meanwhile_is_in_both_until_the_switch(shop: Shop) -> None:
    await placed(shop, *range(6))
    live: set[str] = set()
    async for step in rebuild_of(shop).run():
        number = 100 + len(live)
        await placed(shop, number)
        await confirm(shop, number)
        await confirm(shop, 5) if step.record.done == 3 else None
        live.add(f"ORD-{number:04}")
        assert live <= set(await shown(shop))
    assert len(live) > 6
    assert await differences(shop) == []


async def test_a_copy_never_replaces_a_newer_version(shop: Shop) -> None:
    """The order changes after the rebuild has read it, and before it writes it."""
    await placed(shop, 1)
    projection = ReadModelProjection(shop.host.database, shop.deps.orders.read_model)
    batch = projection.batch

    async def late(run: Any, after: str) -> Any:
        found = await batch(run, after)
        if not after:
            await confirm(shop, 1)
        return found

    projection.batch = late  # type: ignore[method-assign]
    await steps(Rebuild(READ_MODEL, projection, shop.host.database, rest=0.0))
    assert await differences(shop) == []
    assert (await shop.order("ORD-0001")).status == pb.ORDER_STATUS_CONFIRMED


@pytest.mark.parametrize("point", FAULT_POINTS)
@pytest.mark.parametrize("passed", [0, 1])
async def test_killed_anywhere_it_goes_on(shop: Shop, point: str, passed: int) -> None:
    await placed(shop, *range(7))
    dying = rebuild_of(shop, Faults({point: passed}, strike=die))
    dying._release = _nothing  # type: ignore[assignment] # a process that is killed releases nothing
    died = False
    try:
        await steps(dying)
    except Died:
        died = True
    assert died is (passed == 0 or point == "rebuild.filling.batch")
    await confirm(shop, 2)
    await placed(shop, 50)
    if died:
        await execute(shop, "UPDATE souk_rebuild SET lease_until = 0")  # it ends ten seconds after the death
        seen = await steps(rebuild_of(shop))
        assert seen[-1].resumed
        assert seen[-1].record.generation == 2
    assert await differences(shop) == []
    assert {generation for _, generation, _ in await rows(shop)} == {2}
    assert len(await shown(shop)) == 8


async def _nothing(_: object) -> None:
    """Releases nothing."""


async def test_one_that_is_stopped_goes_on_where_it_stopped(shop: Shop) -> None:
    await placed(shop, *range(9))
    async with aclosing(rebuild_of(shop).run()) as some:
        async for step in some:
            if step.record.done == 6:
                break
    seen = await steps(rebuild_of(shop))
    assert (seen[0].record.done, seen[0].resumed) == (6, True)
    assert seen[-1].record.done == 9
    assert await differences(shop) == []


async def test_begun_anew_it_forgets_the_one_that_stopped(shop: Shop) -> None:
    await placed(shop, *range(9))
    async with aclosing(rebuild_of(shop).run()) as some:
        async for step in some:
            if step.record.done == 6:
                break
    await execute(shop, "UPDATE orders SET status = 'REJECTED' WHERE generation = 2")  # as by a mistake in the code
    seen = await steps(rebuild_of(shop), anew=True)
    assert (seen[0].record.done, seen[-1].record.generation) == (0, 3)
    assert await differences(shop) == []
    assert {generation for _, generation, _ in await rows(shop)} == {3}


async def test_a_second_one_joins_the_first(shop: Shop) -> None:
    await placed(shop, *range(30))
    async with aclosing(rebuild_of(shop).run()) as first:
        await anext(first)
        with pytest.raises(RebuildHeld):
            await steps(rebuild_of(shop), anew=True)
        second = asyncio.create_task(steps(rebuild_of(shop)))
        async for _ in first:
            await asyncio.sleep(0)
    seen = await second
    assert all(step.joined for step in seen)
    assert (seen[-1].record.phase, seen[-1].record.generation) == (RebuildPhase.DONE, 2)


async def test_a_second_one_takes_over_when_the_first_is_gone(shop: Shop) -> None:
    await placed(shop, *range(30))
    first = rebuild_of(shop).run()
    await anext(first)
    second = asyncio.create_task(steps(rebuild_of(shop)))
    while not (await rebuild_of(shop).last()).running:  # type: ignore[union-attr]
        await asyncio.sleep(0)
    await first.aclose()
    seen = await second
    assert not seen[-1].joined
    assert await differences(shop) == []


async def test_one_that_was_taken_over_writes_nothing_more(shop: Shop) -> None:
    """It slept through its lease: another has finished since, and its own copies are refused."""
    await placed(shop, *range(9))
    sleeper = rebuild_of(shop).run()
    async for step in sleeper:
        if step.record.done == 3:
            break
    await execute(shop, "UPDATE souk_rebuild SET lease_until = 0")
    await steps(rebuild_of(shop))
    left = [step async for step in sleeper]
    assert [step.joined for step in left] == [True]
    assert {generation for _, generation, _ in await rows(shop)} == {2}
    assert await differences(shop) == []


async def test_a_transaction_that_began_before_is_waited_for(open_shop: Any, tmp_path: Any, postgres_url: str) -> None:
    """It has not seen the new generation, so it writes the old one alone: the rebuild must read what it wrote."""
    async with open_shop(tmp_path, url=postgres_url) as shop:
        await placed(shop, *range(4))
        begun, go = asyncio.Event(), asyncio.Event()
        late = asyncio.create_task(_slow(shop, begun, go))
        await begun.wait()
        running = asyncio.create_task(steps(rebuild_of(shop)))
        try:
            while (await rebuild_of(shop).last()) is None:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)  # long enough for all of the rebuild, if it did not wait
            assert not running.done()
        finally:
            go.set()
            await asyncio.gather(late, running)
        assert await differences(shop) == []
        assert (await shop.order("ORD-0001")).status == pb.ORDER_STATUS_CONFIRMED


async def _slow(shop: Shop, begun: asyncio.Event, go: asyncio.Event) -> None:
    """Confirms an order in a transaction of another connection, which stays open for as long as the test wants."""
    async with _raw(shop) as connection, connection.transaction(isolation="repeatable_read"):
        await connection.fetch("SELECT * FROM souk_generation")
        begun.set()
        await go.wait()
        await _confirm_raw(shop, connection)


def _raw(shop: Shop) -> Any:
    return shop.host.database._pool.acquire()


async def _confirm_raw(shop: Shop, connection: Any) -> None:
    from souk.store.postgres.transaction import PostgresTransaction

    tx = PostgresTransaction(connection, "order", Faults())
    order = await shop.deps.orders.load(tx, "ORD-0001")
    await shop.deps.orders.change(tx, order, [OrderConfirmed("PAY-1")])
    await tx.flush()


async def test_orders_that_come_all_the_time(shop: Shop) -> None:
    """Ten writers, and a rebuild after the other until they are done: whatever overlaps, nothing is missing."""
    await placed(shop, *range(30))
    writers = asyncio.gather(*(_writing(shop, 1_000 * (one + 1)) for one in range(10)))
    rebuilt = 0
    while not writers.done():
        await steps(rebuild_of(shop))
        rebuilt += 1
    await writers
    assert rebuilt
    assert await differences(shop) == []
    assert len(await rows(shop)) == 130


async def _writing(shop: Shop, first: int) -> None:
    for number in range(first, first + 10):
        await placed(shop, number)
        await confirm(shop, number)
