"""Translates orders, events and refusals into messages of the contract."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from shop.order.v1 import order_pb2 as pb

from marketplace.order.domain.order import Order, Status
from marketplace.order.domain.shown import OperatorActed, ShownEvent, ShownOrder
from marketplace.order.events import Event, Item
from souk.sdk import MICROSECONDS, BranchFate, DomainError, Row, StoredReply

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


def body_of(order: Order) -> bytes:
    """Serialises the message of an order, for `ShownOrder`."""
    return order_message(order).SerializeToString()


def shown_message(shown: ShownOrder) -> pb.Order:
    """Returns the message that `body_of` serialised."""
    return pb.Order.FromString(shown.body)


def page_message(shown: Iterable[ShownOrder], token: str | None) -> pb.ListOrdersResponse:
    """Makes the message of a page; each order is read straight into it."""
    page = pb.ListOrdersResponse(next_page_token=token)
    for order in shown:
        page.orders.add().MergeFromString(order.body)
    return page


def payment_of(shown: ShownOrder) -> str:
    """Returns the id of the payment that confirmed the order; "" while there is none."""
    return shown_message(shown).payment_id


def differences(order: Order, row: Row | None) -> list[str]:
    """Returns a line if the row of the read model is not what the order's events make it."""
    if row is None:
        return [f"{order.id}: has no row"]
    expected = {"status": order.status.value, "user_id": order.user_id, "created_at": order.created_at}
    wrong = [f"{name} is {row[name]!r}, not {value!r}" for name, value in expected.items() if row[name] != value]
    shown, right = pb.Order.FromString(row["body"]), order_message(order)
    fields = (field.name for field in pb.Order.DESCRIPTOR.fields)
    changed = [name for name in fields if getattr(shown, name) != getattr(right, name)]
    if changed:
        wrong.append(f"the order that is shown differs in {', '.join(changed)}")
    return [f"{order.id}: {'; '.join(wrong)}"] if wrong else []


def event_message(shown: ShownEvent) -> pb.OrderEvent:
    """Makes the message of an event; the buyer's id is left out, because the reader is the buyer."""
    data = Struct()
    data.update({_camel(name): value for name, value in _plain(shown.event).items() if name != "user_id"})
    return pb.OrderEvent(
        sequence=shown.sequence, type=type(shown.event).__name__, time=timestamp(shown.time), data=data
    )


def stored_reply(order: Order, refusal: DomainError | None) -> StoredReply:
    """Makes the final answer to a request: the order as it is, or the refusal."""
    return StoredReply.done(order_message(order)) if refusal is None else StoredReply.refused(refusal)


def reply_message(reply: Order | StoredReply | DomainError) -> pb.Order:
    """Returns the answer to a request, a stored one unchanged; raises the refusal if it is one."""
    match reply:
        case StoredReply():
            return reply.replay(pb.Order)
        case DomainError():
            raise reply
        case _:
            return order_message(reply)


def published(before: Order, after: Order) -> list[tuple[str, Message]]:
    """Returns the events to publish about one event of an order, which led from `before` to `after`, with their ids.

    The history of an order gives the same events and ids again.
    """
    found = list[Message]()
    if (before.status, before.retryable) != (after.status, after.retryable):
        found += _reached(after)
    if (amount := after.refunded_total - before.refunded_total) > 0:
        found.append(pb.OrderRefunded(user_id=after.user_id, order=order_message(after), amount=amount))
    about = f"EVT-{after.id.removeprefix('ORD-')}-{after.version}"
    return [(f"{about}.{number}" if number else about, message) for number, message in enumerate(found)]


def _reached(order: Order) -> list[Message]:
    """Returns the event about the status that an order has reached; none for a status without one."""
    match order.status:
        case Status.CONFIRMED:
            return [pb.OrderConfirmed(user_id=order.user_id, order=order_message(order))]
        case Status.CANCELLED:
            return [pb.OrderCancelled(user_id=order.user_id, order=order_message(order))]
        case Status.SHIPPED:
            return [pb.OrderShipped(user_id=order.user_id, order=order_message(order))]
        case Status.DELIVERED:
            return [pb.OrderDelivered(user_id=order.user_id, order=order_message(order))]
        case Status.REJECTED if not order.retryable:
            return [pb.OrderRejected(user_id=order.user_id, order=order_message(order), reason=order.reason)]
        case _:
            return []


def unavailable(service: str) -> DomainError:
    """Makes the refusal for a service that is unavailable or late; nothing was done, and a retry may help."""
    return DomainError(f"{service.upper()}_UNAVAILABLE", f"the {service} service is not available", retry_after=1.0)


def price_changed(current: Mapping[str, int]) -> DomainError:
    """Makes the refusal that shows the current price of each product whose price is another, in minor units."""
    items = [pb.CurrentPrice(product_id=product_id, price=price) for product_id, price in current.items()]
    return DomainError("PRICE_CHANGED", "a price differs from the current price", pb.PriceChange(items=items))


def out_of_stock(available: Mapping[str, int]) -> DomainError:
    """Makes the refusal that shows how much there is of each product that is short."""
    items = [pb.AvailableStock(product_id=product_id, available=left) for product_id, left in available.items()]
    return DomainError("OUT_OF_STOCK", "there is not enough stock", pb.StockShortage(items=items))


def payment_declined(detail: str, reason: str) -> DomainError:
    """Makes the refusal of a charge that was declined."""
    return DomainError("PAYMENT_DECLINED", detail, pb.DeclineInfo(reason=reason))


def order_cancelled() -> DomainError:
    """Makes the refusal for a retry of an order that its buyer has cancelled."""
    return DomainError("ORDER_CANCELLED", "this order was cancelled before it was confirmed")


def _plain(event: Event | OperatorActed) -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(orjson.dumps(event))
    if "items" in data:
        data["items"] = [{_camel(name): value for name, value in item.items()} for item in data["items"]]
    return data


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


_DECISIONS = {
    BranchFate.OPEN: pb.DECISION_OPEN,
    BranchFate.COMMIT: pb.DECISION_COMMIT,
    BranchFate.ABORT: pb.DECISION_ABORT,
}


def decision_message(fate: BranchFate) -> pb.TransactionDecision:
    """Makes the answer to a participant of a two-phase commit."""
    return pb.TransactionDecision(decision=_DECISIONS[fate])
