"""What Order published can be read again from its event log, on both databases."""

from typing import Any

import pytest
from soukapi.v1.event_pb2 import Event

from marketplace.order.domain.order import Order
from marketplace.order.events import (
    CancellationStarted,
    CancelRequested,
    Item,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    OrderShipped,
    RefundRecorded,
    StockCommitted,
)
from marketplace.order.store import history as module
from marketplace.order.store.history import OrderHistory
from souk.store.database import Transaction

Shop = Any
PLACED = OrderPlaced("U-1", (Item("P-1", 2, 1_200),), 2_400, "EUR", "ADDR-1", "card")
LIVES = (
    (OrderConfirmed("PAY-1"), StockCommitted(), RefundRecorded("PAY-1", 500), OrderShipped()),
    (OrderRejected(1, "OUT_OF_STOCK", retryable=False),),
    (RefundRecorded("PAY-1", 100), OrderConfirmed("PAY-1")),
    (OrderRejected(1, "PAYMENT_UNAVAILABLE", retryable=True),),
    (OrderConfirmed("PAY-1"), StockCommitted(), CancelRequested(), CancellationStarted()),
    (),
    (OrderConfirmed("PAY-1"), StockCommitted()),
)


async def live(shop: Shop, number: int, *changes: Any) -> None:
    async def work(tx: Transaction) -> None:
        order = Order(f"ORD-{number:04}")
        for change in changes:
            order = await shop.deps.orders.change(tx, order, change)

    await shop.host.database.run(work, guarded=True)


async def published(shop: Shop) -> list[tuple[Any, ...]]:
    sql = "SELECT id, type, key, source, payload FROM souk_outbox ORDER BY key, seq"
    return [tuple(row) for row in await shop.host.database.read(lambda tx: tx.fetch(sql), single=True)]


def as_row(event: Event) -> tuple[Any, ...]:
    return event.id, event.type, event.key, event.source, event.payload


async def test_the_history_is_what_was_published(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 3)
    for number, changes in enumerate(LIVES):
        await live(shop, number, [PLACED], *([event] for event in changes))
    both = [RefundRecorded("PAY-1", 2_400), OrderCancelled()]
    await live(shop, 99, [PLACED], [OrderConfirmed("PAY-1")], [StockCommitted(), CancellationStarted()], both)
    history = OrderHistory(shop.host.database, "order")
    assert await history.count() == len(LIVES) + 1
    found, after, orders = list[Event](), "", 0
    while (page := await history.page(after)) is not None:
        assert page.aggregates <= 3
        found, after, orders = [*found, *page.events], page.after, orders + page.aggregates
    assert orders == len(LIVES) + 1
    assert [as_row(event) for event in found] == await published(shop)
    assert len({event.id for event in found}) == len(found) == 11
