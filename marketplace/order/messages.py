"""Translates orders, events and refusals into messages of the contract."""

from typing import Any

import orjson
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from shop.order.v1 import order_pb2 as pb

from marketplace.order.domain import Order, Status
from marketplace.order.events import Event, Item, to_json
from souk.sdk import MICROSECONDS, DomainError

_STATUS: dict[Status, pb.OrderStatus.ValueType] = {
    status: pb.OrderStatus.Value(f"ORDER_STATUS_{status}") for status in Status if status is not Status.NEW
}


def timestamp(microseconds: int) -> Timestamp:
    """Makes a Timestamp of microseconds since 1970."""
    seconds, rest = divmod(microseconds, MICROSECONDS)
    return Timestamp(seconds=seconds, nanos=rest * 1_000)


def items_of(request: pb.PlaceOrderRequest) -> tuple[Item, ...]:
    """Returns the lines of a request."""
    return tuple(Item(item.product_id, item.quantity, item.price) for item in request.items)


def order_message(order: Order) -> pb.Order:
    """Makes the message of an order."""
    rejected = order.status is Status.REJECTED
    return pb.Order(
        id=order.id,
        status=_STATUS[order.status],
        items=[pb.OrderItem(product_id=i.product_id, quantity=i.quantity, price=i.price) for i in order.items],
        total=order.total,
        currency=order.currency,
        shipping_address_id=order.shipping_address_id,
        payment_method=order.payment_method,
        payment_id=order.payment_id or None,
        refunded_total=order.refunded_total,
        created_at=timestamp(order.created_at),
        updated_at=timestamp(order.updated_at),
        reason=order.reason if rejected else None,
        retryable=order.retryable if rejected else None,
    )


def event_message(sequence: int, event: Event, time: int) -> pb.OrderEvent:
    """Makes the message of an event; the buyer's id is left out, because the reader is the buyer."""
    data = Struct()
    data.update({_camel(name): value for name, value in _plain(event).items() if name != "user_id"})
    return pb.OrderEvent(sequence=sequence, type=type(event).__name__, time=timestamp(time), data=data)


def published(order: Order) -> Message | None:
    """Returns the event to publish when an order reaches its present status; None where there is none."""
    match order.status:
        case Status.CONFIRMED:
            return pb.OrderConfirmed(user_id=order.user_id, order=order_message(order))
        case Status.CANCELLED:
            return pb.OrderCancelled(user_id=order.user_id, order=order_message(order))
        case Status.SHIPPED:
            return pb.OrderShipped(user_id=order.user_id, order=order_message(order))
        case Status.DELIVERED:
            return pb.OrderDelivered(user_id=order.user_id, order=order_message(order))
        case Status.REJECTED if not order.retryable:
            return pb.OrderRejected(user_id=order.user_id, order=order_message(order), reason=order.reason)
        case _:
            return None


def unavailable(service: str) -> DomainError:
    """Makes the refusal for a service that is unavailable or late; nothing was done, and a retry may help."""
    return DomainError(f"{service.upper()}_UNAVAILABLE", f"the {service} service is not available", retry_after=1.0)


def order_cancelled() -> DomainError:
    """Makes the refusal for a retry of an order that its buyer has cancelled."""
    return DomainError("ORDER_CANCELLED", "this order was cancelled before it was confirmed")


def _plain(event: Event) -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(to_json(event))
    if "items" in data:
        data["items"] = [{_camel(name): value for name, value in item.items()} for item in data["items"]]
    return data


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
