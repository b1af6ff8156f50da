"""Reads events of orders as facts, and makes the messages of reports."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp
from shop.analytics.v1 import analytics_pb2 as pb
from shop.order.v1 import order_pb2 as orders

from marketplace.analytics.domain.facts import Cancelled, Confirmed, Fact, Line, Refunded, Rejected
from marketplace.analytics.domain.reports import (
    Counted,
    Outcomes,
    Sales,
    SoldProduct,
    outcomes_by_day,
    products_by_currency,
    sales_by_currency,
    total_sales,
)
from souk.sdk import PoisonedEvent


def _confirmed(event: orders.OrderConfirmed) -> Fact:
    order = event.order
    lines = tuple(Line(item.product_id, item.quantity, item.price) for item in order.items)
    return Confirmed(order.id, *_times(order), order.currency, order.total, lines)


def _rejected(event: orders.OrderRejected) -> Fact:
    return Rejected(event.order.id, *_times(event.order), event.reason)


def _cancelled(event: orders.OrderCancelled) -> Fact:
    return Cancelled(event.order.id, *_times(event.order))


def _refunded(event: orders.OrderRefunded) -> Fact:
    order, (time, _) = event.order, _times(event.order)
    return Refunded(order.id, time, order.currency, event.amount, order.refunded_total)


def _times(order: orders.Order) -> tuple[int, int]:
    """Returns when it happened, which is what changed the order last, and when the order was placed."""
    return order.updated_at.ToMicroseconds(), order.created_at.ToMicroseconds()


_READERS: Sequence[tuple[type[Message], Callable[[Any], Fact]]] = (
    (orders.OrderConfirmed, _confirmed),
    (orders.OrderRejected, _rejected),
    (orders.OrderCancelled, _cancelled),
    (orders.OrderRefunded, _refunded),
)
FACTS: Mapping[str, tuple[type[Message], Callable[[Any], Fact]]] = {
    kind.DESCRIPTOR.full_name: (kind, read) for kind, read in _READERS
}
"""How each type of event that is counted is read."""


def to_fact(event_type: str, payload: bytes) -> Fact:
    """Reads an event; raises PoisonedEvent for one of another type, and one that names no order."""
    if event_type not in FACTS:
        raise PoisonedEvent(f"{event_type[:200]} is not counted")
    kind, read = FACTS[event_type]
    try:
        event: Any = kind.FromString(payload)
    except DecodeError:
        raise PoisonedEvent(f"the payload is no {event_type}") from None
    if not event.order.id or not event.order.HasField("updated_at"):
        raise PoisonedEvent(f"the {event_type} names no order, or not when it changed")
    return read(event)


def to_revenue(as_of: int | None, found: Sequence[Counted]) -> pb.Revenue:
    """Makes the message of sales by currency and day; raises SUM_TOO_LARGE."""
    currencies = [
        pb.CurrencyRevenue(
            currency=currency,
            total=_sales(total_sales(days)),
            days=[pb.DayRevenue(date=day, sales=_sales(sales)) for day, sales in days.items()],
        )
        for currency, days in sorted(sales_by_currency(found).items())
    ]
    return pb.Revenue(as_of=_time(as_of), currencies=currencies)


def to_top_products(as_of: int | None, found: Sequence[SoldProduct]) -> pb.TopProducts:
    """Makes the message of the products that sold best in each currency; raises SUM_TOO_LARGE."""
    currencies = [
        pb.CurrencyProducts(
            currency=currency,
            products=[pb.ProductSales(product_id=p.product_id, units=p.units, revenue=p.revenue) for p in products],
        )
        for currency, products in products_by_currency(found).items()
    ]
    return pb.TopProducts(as_of=_time(as_of), currencies=currencies)


def to_conversion(as_of: int | None, found: Sequence[Counted]) -> pb.Conversion:
    """Makes the message of how orders ended, by the day on which they were placed."""
    total, days = outcomes_by_day(found)
    by_day = [pb.DayConversion(date=day, outcomes=_outcomes(outcomes)) for day, outcomes in days.items()]
    return pb.Conversion(as_of=_time(as_of), total=_outcomes(total), days=by_day)


def _sales(sales: Sales) -> pb.Sales:
    return pb.Sales(
        orders=sales.orders, gross=sales.gross, refunds=sales.refunds, refunded=sales.refunded, net=sales.net
    )


def _outcomes(outcomes: Outcomes) -> pb.Outcomes:
    by_count = sorted(outcomes.rejections.items(), key=lambda item: (-item[1], item[0]))
    return pb.Outcomes(
        confirmed=outcomes.confirmed,
        rejected=outcomes.rejected,
        cancelled=outcomes.cancelled,
        rate=outcomes.rate,
        rejections=[pb.Rejections(reason=reason, orders=count) for reason, count in by_count],
    )


def _time(microseconds: int | None) -> Timestamp | None:
    if microseconds is None:
        return None
    time = Timestamp()
    time.FromMicroseconds(microseconds)
    return time
