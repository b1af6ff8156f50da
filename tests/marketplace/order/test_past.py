"""An order as it was: by the events that had happened by then, and only for its buyer."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from shop.order.v1 import order_pb2 as pb

from souk.kernel.errors import DomainError

Shop = Any


async def history(shop: Shop, order_id: str) -> dict[str, int]:
    found = await shop.read.history("U-1", pb.ListOrderEventsRequest(id=order_id))
    return {event.type: event.time.ToMicroseconds() for event in found.events}


async def as_of(shop: Shop, order_id: str, time: int, user_id: str = "U-1") -> pb.Order:
    when = Timestamp()
    when.FromMicroseconds(time)
    return await shop.read._call("GetOrder", user_id, pb.GetOrderRequest(id=order_id, as_of=when))


async def test_an_order_is_shown_as_it_was(shop: Shop) -> None:
    order_id = (await shop.place()).reply.id
    confirmed = await shop.order(order_id)
    await shop.cancel(order_id)
    at = await history(shop, order_id)
    placed = await as_of(shop, order_id, at["OrderPlaced"])
    assert (placed.status, placed.HasField("payment_id")) == (pb.ORDER_STATUS_PENDING, False)
    assert await as_of(shop, order_id, at["CancelRequested"] - 1) == confirmed
    assert (await as_of(shop, order_id, at["CancellationStarted"])).status == pb.ORDER_STATUS_CANCELLING
    now = await shop.order(order_id)
    assert now.status == pb.ORDER_STATUS_CANCELLED
    assert await as_of(shop, order_id, at["OrderCancelled"]) == await as_of(shop, order_id, 2**52) == now


async def test_before_it_was_placed_there_is_no_such_order(shop: Shop) -> None:
    order_id = (await shop.place()).reply.id
    at = await history(shop, order_id)
    for time in (at["OrderPlaced"] - 1, 0, -1):
        with pytest.raises(DomainError, match="ORDER_NOT_FOUND"):
            await as_of(shop, order_id, time)


async def test_another_buyer_sees_no_past_either(shop: Shop) -> None:
    order_id = (await shop.place()).reply.id
    with pytest.raises(DomainError, match="ORDER_NOT_FOUND"):
        await as_of(shop, order_id, 2**52, user_id="U-2")
    with pytest.raises(DomainError, match="ORDER_NOT_FOUND"):
        await as_of(shop, "ORD-0", 2**52)
