"""The templates of mails: what a buyer is told about each event, and which buyer that is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError, Message
from shop.order.v1 import order_pb2 as order
from shop.payment.v1 import payment_pb2 as payment

from marketplace.notification.domain import Content, Line
from souk.sdk import format_amount

_WHY_REJECTED = {
    "OUT_OF_STOCK": "not every item is in stock",
    "PAYMENT_DECLINED": "the payment was declined",
    "PRICE_CHANGED": "the price of an item has changed",
    "ORDER_CANCELLED": "the order was cancelled",
}


class UnreadablePayloadError(ValueError):
    """The payload is not a message of the event's type, or names no user."""


@dataclass(frozen=True, slots=True)
class Template:
    """The type of an event's payload, and the function that makes the mail's content of it."""

    kind: type[Message]
    content: Callable[[Any], Content]


@dataclass(frozen=True, slots=True)
class Draft:
    """The content of a mail, and the user to send it to."""

    user_id: str
    content: Content


def draft(event_type: str, payload: bytes) -> Draft | None:
    """Makes the draft of a mail about an event; None for a type without a template. Raises UnreadablePayloadError."""
    template = TEMPLATES.get(event_type)
    if template is None:
        return None
    try:
        message: Any = template.kind.FromString(payload)
    except DecodeError:
        raise UnreadablePayloadError(f"the payload is no {event_type}") from None
    if not message.user_id:
        raise UnreadablePayloadError(f"the {event_type} names no user")
    return Draft(message.user_id, template.content(message))


def _confirmed(event: order.OrderConfirmed) -> Content:
    return Content(
        subject=f"Your order {event.order.id} is confirmed",
        opening="Thank you for your order. Every item is in stock, and we will ship your order soon.",
        lines=_lines(event.order),
        closing="You can cancel your order until it is shipped.",
    )


def _rejected(event: order.OrderRejected) -> Content:
    why = _WHY_REJECTED.get(event.reason, "the order could not be completed")
    return Content(
        subject=f"Your order {event.order.id} could not be placed",
        opening=f"We are sorry: we could not accept your order, because {why}.",
        lines=_lines(event.order),
        closing="If you were charged for this order, you will get a full refund.",
    )


def _cancelled(event: order.OrderCancelled) -> Content:
    return Content(
        subject=f"Your order {event.order.id} is cancelled",
        opening="We have cancelled your order, as you asked.",
        lines=_lines(event.order),
        closing="The money that you paid is on its way back to you.",
    )


def _shipped(event: order.OrderShipped) -> Content:
    return Content(
        subject=f"Your order {event.order.id} is on its way",
        opening="We have handed your order to the carrier.",
        lines=_lines(event.order),
        closing="Enjoy your purchase!",
    )


def _refunded(event: payment.PaymentRefunded) -> Content:
    return Content(
        subject=f"A refund for your order {event.order_id}",
        opening="We have refunded money to you for this order.",
        lines=(
            Line("This refund", format_amount(event.amount, event.currency)),
            Line("Total refunded so far", format_amount(event.refunded_total, event.currency)),
        ),
        closing="It may take a few days until your bank shows the refund.",
    )


def _lines(placed: order.Order) -> tuple[Line, ...]:
    items = (
        Line(f"{item.quantity} x {item.product_id}", format_amount(item.quantity * item.price, placed.currency))
        for item in placed.items
    )
    return (*items, Line("Total", format_amount(placed.total, placed.currency)))


_ALL = (
    Template(order.OrderConfirmed, _confirmed),
    Template(order.OrderRejected, _rejected),
    Template(order.OrderCancelled, _cancelled),
    Template(order.OrderShipped, _shipped),
    Template(payment.PaymentRefunded, _refunded),
)
TEMPLATES: Mapping[str, Template] = {template.kind.DESCRIPTOR.full_name: template for template in _ALL}
"""The templates by the event's type; the service subscribes to these types."""
