"""What is decided where no money moves, or all of it came back: docs/decisions/0016-edges-of-an-order.md."""

from typing import Any

import pytest
from shop.order.v1 import order_pb2 as pb
from shop.payment.v1.payment_pb2 import PaymentRefunded
from soukapi.v1.event_pb2 import Event

from marketplace.order.domain.order import Status
from marketplace.order.events import Item
from souk.kernel.errors import DomainError
from souk.rpc.call import not_sent
from souk.saga.definition import SagaRef

Shop = Any


async def refunded(shop: Shop, order_id: str, total: int) -> None:
    payment = f"PAY-{order_id}:1:charge-payment"
    payload = PaymentRefunded(order_id=order_id, payment_id=payment, refunded_total=total).SerializeToString()
    await shop.refunded(Event(id=f"E-{total}", type=PaymentRefunded.DESCRIPTOR.full_name, payload=payload))


async def placed(shop: Shop, **change: object) -> pb.Order:
    answer = await shop.place(**change)
    assert isinstance(answer.reply, pb.Order), answer.reply
    await shop.runner.wait_ended(SagaRef("place-order", answer.reply.id, 1), shop.host.clock.monotonic() + 30)
    return answer.reply


async def test_an_order_whose_money_is_all_back_is_not_shipped_but_cancelled(shop: Shop) -> None:
    order = await placed(shop)
    await refunded(shop, order.id, 2_399)
    await refunded(shop, order.id, 2_400)
    with pytest.raises(DomainError, match="NOT_SHIPPABLE"):
        await shop.ship(order.id)
    assert (await shop.cancel(order.id)).status is Status.CANCELLED
    assert list(shop.others.reserved.values()) == ["returned"]


async def test_an_order_of_which_something_is_paid_is_shipped(shop: Shop) -> None:
    order = await placed(shop)
    await refunded(shop, order.id, 2_399)
    assert (await shop.ship(order.id)).status is Status.SHIPPED


@pytest.mark.parametrize("method", ["card", "wallet", "PM-none"])
async def test_a_free_order_needs_no_payment_method(shop: Shop, method: str) -> None:
    shop.others.price = 0
    shop.others.fail["resolve"] = [not_sent("Payment is away")]
    order = await placed(shop, items=(Item("P-1", 2, 0),), payment_method=method)
    assert (order.status, order.total) == (pb.ORDER_STATUS_CONFIRMED, 0)
    assert shop.others.count("resolve") == shop.others.count("charge") == 0
    assert (await shop.ship(order.id)).status is Status.SHIPPED


async def test_an_order_that_is_no_longer_free_is_refused_with_its_price(shop: Shop) -> None:
    with pytest.raises(DomainError, match="PRICE_CHANGED"):
        await shop.place(items=(Item("P-1", 2, 0),), payment_method="PM-none")
