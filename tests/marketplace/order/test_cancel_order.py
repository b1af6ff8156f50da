"""Cancelling, shipping, refunds, erasure, and the read model."""

import asyncio
from functools import partial
from typing import Any

import pytest
from shop.order.v1 import order_pb2 as pb
from shop.payment.v1.payment_pb2 import PaymentRefunded
from shop.user.v1.user_pb2 import UserDeleted
from soukapi.v1.event_pb2 import Event

from marketplace.order.domain.order import Status
from souk.kernel.errors import DomainError
from souk.rpc.call import not_sent
from souk.saga.definition import SagaRef
from souk.saga.operator.run_records import record_action
from souk.store.database import Transaction

Shop = Any


async def placed(shop: Shop, key: str = "key-1") -> pb.Order:
    answer = await shop.place(key)
    assert isinstance(answer.reply, pb.Order), answer.reply
    return answer.reply


async def settled(shop: Shop, key: str = "key-1") -> pb.Order:
    order = await placed(shop, key)
    await shop.runner.wait_ended(SagaRef("place-order", order.id, 1), shop.host.clock.monotonic() + 30)
    return order


async def test_a_cancelled_order_is_refunded_restocked_and_told(shop: Shop) -> None:
    order = await settled(shop)
    cancelled = await shop.cancel(order.id)
    assert (cancelled.status, cancelled.refunded_total) == (Status.CANCELLED, 2400)
    assert list(shop.others.reserved.values()) == ["returned"]
    assert list(shop.others.charged.values()) == ["refunded"]
    assert await shop.events() == ["OrderConfirmed", "OrderRefunded", "OrderCancelled"]
    assert (await shop.cancel(order.id)).status is Status.CANCELLED
    assert shop.others.count("refund") == 1


async def test_cancel_waits_for_placing_to_end(shop: Shop) -> None:
    shop.others.block["commit"] = asyncio.Event()
    order = await placed(shop)
    waiting = await shop.cancel(order.id, seconds=0.6)
    assert (waiting.status, waiting.cancel_requested) == (Status.CONFIRMED, True)
    shop.others.block.pop("commit").set()
    assert (await shop.cancel(order.id)).status is Status.CANCELLED


async def test_a_wish_recorded_while_pending_takes_effect_after_confirmation(shop: Shop) -> None:
    shop.others.block["charge"] = asyncio.Event()
    request = asyncio.create_task(shop.place())
    while not shop.others.count("charge"):
        await asyncio.sleep(0)
    order_id = shop.others.calls[-1][1].partition(":")[0]
    assert (await shop.cancel(order_id, seconds=0.6)).status is Status.PENDING
    shop.others.block.pop("charge").set()
    assert (await request).reply.status == pb.ORDER_STATUS_CONFIRMED
    assert (await shop.cancel(order_id)).status is Status.CANCELLED


async def test_cancelling_a_retryable_rejection_makes_it_final(shop: Shop) -> None:
    shop.others.fail["charge"] = [not_sent("away")]
    await shop.place()
    (order,) = (await shop.read.page("U-1", pb.ListOrdersRequest())).orders
    assert order.retryable
    cancelled = await shop.cancel(order.id)
    assert (cancelled.status, cancelled.retryable) == (Status.REJECTED, False)
    again = await shop.place()
    assert isinstance(again.reply, DomainError)
    assert (again.reply.reason, again.replayed) == ("ORDER_CANCELLED", True)
    assert await shop.events() == ["OrderRejected"]


async def test_another_buyers_order_is_not_found(shop: Shop) -> None:
    order = await settled(shop)
    with pytest.raises(DomainError, match="ORDER_NOT_FOUND"):
        await shop.cancel(order.id, user_id="U-2")
    with pytest.raises(DomainError, match="ORDER_NOT_FOUND"):
        await shop.read.one("U-2", order.id)
    with pytest.raises(DomainError, match="ORDER_NOT_FOUND"):
        await shop.read.history("U-2", pb.ListOrderEventsRequest(id=order.id))


async def test_from_shipped_on_it_cannot_be_cancelled(shop: Shop) -> None:
    order = await settled(shop)
    assert (await shop.ship(order.id)).status is Status.SHIPPED
    with pytest.raises(DomainError, match="NOT_CANCELLABLE"):
        await shop.cancel(order.id)
    assert (await shop.deliver(order.id)).status is Status.DELIVERED
    assert (await shop.deliver(order.id)).status is Status.DELIVERED
    with pytest.raises(DomainError, match="ORDER_NOT_FOUND"):
        await shop.ship("ORD-none")


def refund(order_id: str, total: int, event_id: str, attempt: int = 1) -> Event:
    payment_id = f"PAY-{order_id}:{attempt}:charge-payment"
    payload = PaymentRefunded(order_id=order_id, payment_id=payment_id, refunded_total=total).SerializeToString()
    return Event(id=event_id, payload=payload)


async def test_refunds_show_and_come_as_often_as_they_like(shop: Shop) -> None:
    order = await settled(shop)
    for event in (refund(order.id, 500, "E-1"), refund(order.id, 500, "E-1"), refund(order.id, 900, "E-2")):
        await shop.refunded(event)
    await shop.refunded(refund(order.id, 500, "E-3"))
    assert (await shop.order(order.id)).refunded_total == 900
    await shop.refunded(refund("ORD-none", 500, "E-4"))


async def test_a_refund_that_comes_before_the_confirmation_is_not_lost(shop: Shop) -> None:
    shop.others.block["charge"] = asyncio.Event()
    request = asyncio.create_task(shop.place())
    while not shop.others.count("charge"):
        await asyncio.sleep(0)
    order_id = shop.others.calls[-1][1].partition(":")[0]
    await shop.refunded(refund(order_id, 500, "E-1"))
    shop.others.block.pop("charge").set()
    assert (await request).reply.refunded_total == 500
    assert (await shop.order(order_id)).refunded_total == 500


async def test_refunds_of_an_attempt_that_failed_are_not_the_orders(shop: Shop, refuse: Any) -> None:
    shop.others.fail["charge"] = [refuse("payment", DomainError("PAYMENT_UNAVAILABLE", "bank"))]
    await shop.place()
    order = await placed(shop)
    await shop.refunded(refund(order.id, 500, "E-1", attempt=1))
    assert (await shop.order(order.id)).refunded_total == 0
    await shop.refunded(refund(order.id, 700, "E-2", attempt=2))
    assert (await shop.order(order.id)).refunded_total == 700


async def test_an_erased_buyer_leaves_no_address(shop: Shop) -> None:
    await settled(shop)
    await shop.user_deleted(Event(id="E-9", payload=UserDeleted(user_id="U-1").SerializeToString()))
    rows = await shop.host.database.read(lambda tx: tx.fetch("SELECT * FROM order_address"))
    assert rows == []
    log = await shop.host.database.read(lambda tx: tx.fetch("SELECT payload FROM souk_event_store"))
    assert not any(b"Somewhere" in row["payload"] for row in log)


async def test_an_order_that_was_checked_before_its_buyer_was_erased_keeps_no_address(shop: Shop) -> None:
    gate = shop.others.block["resolve"] = asyncio.Event()
    request = asyncio.create_task(shop.place())
    while not shop.others.count("address"):
        await asyncio.sleep(0)
    await shop.user_deleted(Event(id="E-9", payload=UserDeleted(user_id="U-1").SerializeToString()))
    gate.set()
    with pytest.raises(DomainError, match="UNAUTHENTICATED"):
        await request
    for table in ("order_address", "orders", "souk_idempotency", "souk_saga_run"):
        assert await shop.host.database.read(lambda tx, table=table: tx.fetch(f"SELECT 1 AS one FROM {table}")) == []


async def test_the_next_attempt_of_an_erased_buyer_is_refused_too(shop: Shop, refuse: Any) -> None:
    shop.others.fail["charge"] = [refuse("payment", DomainError("PAYMENT_UNAVAILABLE", "bank"))]
    await shop.place()
    await shop.user_deleted(Event(id="E-9", payload=UserDeleted(user_id="U-1").SerializeToString()))
    with pytest.raises(DomainError, match="UNAUTHENTICATED"):
        await shop.place()
    assert await shop.host.database.read(lambda tx: tx.fetch("SELECT * FROM order_address")) == []


async def test_an_address_that_was_kept_in_the_moment_of_the_erasure_is_found(shop: Shop) -> None:
    await settled(shop)

    async def erase_without_seeing_it(tx: Transaction) -> None:
        await tx.execute("INSERT INTO souk_erased_subjects (subject, erased_at) VALUES ($1, 0)", "U-1")

    await shop.host.database.run(erase_without_seeing_it)
    assert await shop.host.database.run(shop.deps.orders.erase_late) == 1
    assert await shop.host.database.read(lambda tx: tx.fetch("SELECT * FROM order_address")) == []


async def test_the_history_is_the_log_in_pages(shop: Shop) -> None:
    order = await settled(shop)
    page = await shop.read.history("U-1", pb.ListOrderEventsRequest(id=order.id, page_size=3))
    rest = await shop.read.history(
        "U-1", pb.ListOrderEventsRequest(id=order.id, page_size=3, page_token=page.next_page_token)
    )
    events = [*page.events, *rest.events]
    assert [event.type for event in events] == ["OrderPlaced", "StockReserved", "OrderConfirmed", "StockCommitted"]
    assert [event.sequence for event in events] == [1, 2, 3, 4]
    assert "userId" not in events[0].data


async def test_the_history_shows_what_an_operator_did_but_not_who_and_why(shop: Shop) -> None:
    order = await settled(shop)
    ref = SagaRef("place-order", order.id, 1)
    await shop.host.database.run(partial(record_action, ref=ref, action="retry", step="", operator="ann", why="secret"))
    await shop.cancel(order.id)
    found = await shop.read.history("U-1", pb.ListOrderEventsRequest(id=order.id))
    types = [event.type for event in found.events]
    assert types.index("StockCommitted") < types.index("OperatorActed") < types.index("CancelRequested")
    assert [event.sequence for event in found.events] == list(range(1, len(types) + 1))
    (acted,) = [event for event in found.events if event.type == "OperatorActed"]
    assert dict(acted.data) == {"saga": "place-order", "attempt": 1, "action": "retry", "step": ""}


async def test_every_order_is_on_one_page(shop: Shop) -> None:
    ids = [(await placed(shop, f"key-{n}")).id for n in range(7)]
    seen: list[str] = []
    token = None
    while True:
        page = await shop.read.page("U-1", pb.ListOrdersRequest(page_size=3, page_token=token))
        seen += [order.id for order in page.orders]
        if not page.HasField("next_page_token"):
            break
        token = page.next_page_token
    assert seen == ids[::-1]
