"""Orders with many events have snapshots: they are loaded from there, and are what all their events make."""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from shop.payment.v1.payment_pb2 import PaymentRefunded
from soukapi.v1.event_pb2 import Event

from marketplace.order import events
from marketplace.order.domain.order import Order, fold
from marketplace.order.store.snapshots import FOLD, order_of, state_of
from marketplace.order.use_cases.audit_orders import audit_orders
from souk.projections.follower import EventFollower
from souk.store.snapshots import EVERY

Shop = Any
_PLACED = events.OrderPlaced("U-1", (events.Item("P-1", 2, 1_200),), 2_400, "EUR", "ADR-1", "WALLET")
_DELIVERED: list[events.Event] = [
    _PLACED,
    events.StockReserved(1),
    events.OrderRejected(1, "CARD_DECLINED", True),
    events.AttemptOpened(2),
    events.RefundRecorded("PAY-1", 100),
    events.StockReserved(2),
    events.OrderConfirmed("PAY-1"),
    events.CancelRequested(),
    events.StockCommitted(),
    events.OrderShipped(),
    events.OrderDelivered(),
]
_CANCELLED: list[events.Event] = [
    _PLACED,
    events.OrderConfirmed("PAY-1"),
    events.CancellationStarted(),
    events.OrderCancelled(),
]
_REFUSED: list[events.Event] = [
    _PLACED,
    events.OrderRejected(1, "OUT_OF_STOCK", True),
    events.RejectionMadeFinal("GONE"),
]
_LIVES = (_DELIVERED, _CANCELLED, _REFUSED)
_MADE = {1: "48e6b09c14cb25c63e312b9997b271ddcfa372af90e8a2ce012c16d38ce4e2d9"}
"""What each version of the fold makes of these lives, as a digest."""


def orders() -> list[Order]:
    return [fold(Order("ORD-1"), [(event, 10 + place) for place, event in enumerate(life)]) for life in _LIVES]


async def refunded_in_parts(shop: Shop, parts: int) -> str:
    """Places an order and refunds it cent by cent: an event for each."""
    order_id = str((await shop.place()).reply.id)
    for total in range(1, parts + 1):
        refund = PaymentRefunded(order_id=order_id, payment_id=f"PAY-{order_id}:1:charge-payment", refunded_total=total)
        payload = refund.SerializeToString()
        await shop.refunded(Event(id=f"E-{total}", type=PaymentRefunded.DESCRIPTOR.full_name, payload=payload))
    return order_id


async def loaded(shop: Shop, order_id: str) -> Order:
    order = await shop.host.database.read(partial(shop.deps.orders.load, order_id=order_id))
    assert isinstance(order, Order)
    return order


async def test_a_long_order_is_loaded_without_its_early_events(shop: Shop) -> None:
    order_id = await refunded_in_parts(shop, EVERY + 5)
    whole = await shop.host.database.read(partial(shop.deps.orders.load_whole, order_id=order_id))
    assert whole.refunded_total == EVERY + 5
    sql = "UPDATE souk_event_store SET type = 'Unreadable' WHERE stream = $1 AND version = 1"
    await shop.host.database.run(lambda tx: tx.execute(sql, order_id))
    assert await loaded(shop, order_id) == whole


async def test_a_short_order_has_no_snapshot(shop: Shop) -> None:
    await shop.place()
    assert await shop.host.database.read(lambda tx: tx.fetch("SELECT stream FROM souk_snapshot")) == []


async def test_the_audit_finds_a_wrong_snapshot_and_drops_it(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    found: list[int] = []
    follower = EventFollower("audit", shop.host.database, partial(audit_orders, shop.deps, found.append))
    order_id = await refunded_in_parts(shop, EVERY + 5)
    right = await loaded(shop, order_id)
    await caught_up(follower)
    assert found == []
    await break_snapshot(shop, lambda state: state.replace(b'"total":2400', b'"total":2401'))
    assert (await loaded(shop, order_id)).total == 2_401
    await shop.ship(order_id)
    await caught_up(follower)
    assert found == [2]  # the snapshot, and the total that the read model was given from it
    assert f"{order_id}: its snapshot was wrong, and is dropped" in caplog.text
    assert (await loaded(shop, order_id)).total == right.total


async def break_snapshot(shop: Shop, change: Callable[[bytes], bytes]) -> None:
    (row,) = await shop.host.database.read(lambda tx: tx.fetch("SELECT state FROM souk_snapshot"))
    state = change(bytes(row["state"]))
    assert state != row["state"]
    await shop.host.database.run(lambda tx: tx.execute("UPDATE souk_snapshot SET state = $1", state))


async def caught_up(follower: EventFollower) -> None:
    while await follower.step():
        pass


def test_a_snapshot_is_the_order() -> None:
    for order in (*orders(), Order("ORD-1")):
        assert order_of(state_of(order)) == order


def test_another_fold_has_another_number() -> None:
    """When this fails, the same events make another order, or it has other fields: raise FOLD, and add its digest."""
    assert {type(event) for life in _LIVES for event in life} == set(events.EVENT_TYPES.values())
    assert hashlib.sha256(b"".join(map(state_of, orders()))).hexdigest() == _MADE[FOLD]
