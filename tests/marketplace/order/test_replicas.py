"""Two Order services on one PostgreSQL database: whichever is asked, there is one order, and one outcome."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from shop.order.v1 import order_pb2 as pb
from soukapi.v1.event_pb2 import DeliveryResult, Event

from marketplace.order.domain.order import Status
from souk.events.relay import Relay
from souk.events.sender import Route
from souk.rpc.call import not_sent
from souk.saga.definition import SagaRef
from souk.saga.settings import SagaSettings
from souk.testing.relaying import QUICK as RELAYING
from souk.testing.relaying import eventually
from souk.testing.relaying import running as relaying

Shop = Any
QUICK = SagaSettings(lease=0.4, claim=0.05, pause=0.01, longest_pause=0.02)


@pytest.fixture
async def replicas(open_shop: Any, tmp_path: Path, postgres_url: str) -> AsyncIterator[list[Shop]]:
    """Both, with participants of their own that share one memory of what was done."""
    async with open_shop(tmp_path, url=postgres_url, owner="one", settings=QUICK) as one:
        others = replace(one.others, fail={}, calls=[], block={})
        async with open_shop(tmp_path, others, url=postgres_url, owner="two", settings=QUICK) as two:
            yield [one, two]


@asynccontextmanager
async def running(shop: Shop) -> AsyncIterator[None]:
    """Its runner takes over what others left."""
    task = asyncio.create_task(shop.runner.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def count(replicas: list[Shop], name: str) -> int:
    return sum(shop.others.count(name) for shop in replicas)


async def begun(shop: Shop, name: str) -> str:
    """The order that `shop` has just called a participant for."""
    while not shop.others.count(name):
        await asyncio.sleep(0)
    return next(key for call, key in shop.others.calls if call == name).partition(":")[0]


async def at_rest(shop: Shop, order_id: str) -> None:
    until = shop.host.clock.monotonic() + 5
    assert (await shop.runner.wait_ended(SagaRef("place-order", order_id, 1), until)).ended


def confirmed(answers: list[Any]) -> set[str]:
    assert {answer.reply.status for answer in answers} == {pb.ORDER_STATUS_CONFIRMED}
    return {answer.reply.id for answer in answers}


async def test_fifty_at_once_with_one_key_are_one_order(replicas: list[Shop]) -> None:
    answers = await asyncio.gather(*(shop.place() for shop in replicas * 25))
    assert len(confirmed(answers)) == 1
    assert (count(replicas, "reserve"), count(replicas, "charge")) == (1, 1)
    assert [len(await shop.events()) for shop in replicas] == [1, 1]


async def test_a_repeat_elsewhere_waits_for_the_first(replicas: list[Shop]) -> None:
    one, two = replicas
    one.others.block["charge"] = asyncio.Event()
    first = asyncio.create_task(one.place())
    order_id = await begun(one, "charge")
    impatient = await two.place(seconds=0.6)
    assert (impatient.reply.id, impatient.reply.status) == (order_id, pb.ORDER_STATUS_PENDING)
    second = asyncio.create_task(two.place())
    one.others.block.pop("charge").set()
    assert confirmed([await first, await second]) == {order_id}
    assert (await second).replayed


async def test_as_many_orders_as_keys(replicas: list[Shop]) -> None:
    """Orders that have nothing to do with each other do not fail because of each other."""
    answers = await asyncio.gather(*(shop.place(f"key-{n}") for n, shop in enumerate(replicas * 20)))
    assert len(confirmed(answers)) == 40
    assert count(replicas, "charge") == 40


async def test_an_order_is_cancelled_by_the_other_replica(replicas: list[Shop]) -> None:
    one, two = replicas
    (order_id,) = confirmed([await one.place()])
    answers = await asyncio.gather(*(shop.cancel(order_id) for shop in (two, one, two)))
    assert {order.status for order in answers} == {Status.CANCELLED}
    assert (count(replicas, "refund"), count(replicas, "take_back")) == (1, 1)
    assert list(one.others.charged.values()) == ["refunded"]


async def test_a_wish_to_cancel_reaches_the_replica_that_places(replicas: list[Shop]) -> None:
    one, two = replicas
    one.others.block["charge"] = asyncio.Event()
    placing = asyncio.create_task(one.place())
    order_id = await begun(one, "charge")
    cancelling = asyncio.create_task(two.cancel(order_id))
    while "CancelRequested" not in await history(two, order_id):
        await asyncio.sleep(0.01)
    one.others.block.pop("charge").set()
    assert (await cancelling).status is Status.CANCELLED
    assert confirmed([await placing]) == {order_id}
    assert count(replicas, "refund") == 1


async def history(shop: Shop, order_id: str) -> list[str]:
    page = await shop.read.history("U-1", pb.ListOrderEventsRequest(id=order_id))
    return [event.type for event in page.events]


async def test_the_other_replica_finishes_what_one_left(replicas: list[Shop]) -> None:
    one, two = replicas
    one.others.block["charge"] = asyncio.Event()
    lost = asyncio.create_task(one.place())
    order_id = await begun(one, "charge")
    async with running(two):
        assert confirmed([await two.place()]) == {order_id}
        await at_rest(two, order_id)
    assert two.others.count("charge") == 1
    assert list(two.others.reserved.values()) == ["sold"]
    # The one that was only slow comes back, and is told that the order is in other hands.
    one.others.block.pop("charge").set()
    assert confirmed([await lost]) == {order_id}
    assert await history(one, order_id) == ["OrderPlaced", "StockReserved", "OrderConfirmed", "StockCommitted"]
    assert await one.events() == ["OrderConfirmed"]


async def test_a_retry_elsewhere_drives_the_same_order_further_once(replicas: list[Shop]) -> None:
    one, two = replicas
    one.others.fail["charge"] = [not_sent("away")]
    await one.place()
    answers = await asyncio.gather(*(shop.place() for shop in (two, one, two, one)))
    assert len(confirmed(answers)) == 1
    assert sorted(two.others.charged) == [f"{answers[0].reply.id}:2:charge-payment"]
    assert count(replicas, "charge") == 2


class Heard:
    """A sender that remembers what each of its relays handed over."""

    def __init__(self) -> None:
        self.events: list[str] = []

    async def hand_over(self, route: Route, events: Sequence[Event]) -> list[DeliveryResult]:
        self.events += [event.key for event in events]
        return [DeliveryResult(event_id=event.id) for event in events]


def relay(shop: Shop, owner: str, sender: Heard) -> Relay:
    routes = [("mail", Route("mail", "letters", ("shop.order.v1.OrderConfirmed", "shop.order.v1.OrderCancelled")))]
    host = shop.host
    return Relay(
        host.database, routes, host.channel, owner, host.clock, source="order", settings=RELAYING, sender=sender
    )


async def test_each_event_is_told_once_by_two_relays(replicas: list[Shop]) -> None:
    senders = [Heard(), Heard()]
    relays = [relay(shop, f"relay {n}", senders[n]) for n, shop in enumerate(replicas)]

    def heard() -> list[str]:
        return [key for sender in senders for key in sender.events]

    async def all_told() -> bool:
        return len(heard()) >= 40

    async with relaying(relays[0]), relaying(relays[1]):
        answers = await asyncio.gather(*(shop.place(f"key-{n}") for n, shop in enumerate(replicas * 10)))
        ids = sorted(confirmed(answers))
        await asyncio.gather(*(replicas[n % 2].cancel(order_id) for n, order_id in enumerate(ids)))
        await eventually(all_told)
    assert Counter(heard()) == dict.fromkeys(ids, 2)
