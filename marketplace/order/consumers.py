"""Consumers of events: refunds and erased accounts. Each event has its effect once, however often it is delivered."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from shop.payment.v1.payment_pb2 import PaymentRefunded
from shop.user.v1.user_pb2 import UserDeleted
from soukapi.v1.event_pb2 import Event

from marketplace.order.deps import Deps
from marketplace.order.domain import after_placing
from souk.sdk import Handler, Subscription, Transaction, decide

REFUNDS, ERASURE = "refunds", "erasure"
SUBSCRIPTIONS = (
    Subscription(REFUNDS, (PaymentRefunded.DESCRIPTOR.full_name,)),
    Subscription(ERASURE, (UserDeleted.DESCRIPTOR.full_name,)),
)


def consumers(deps: Deps) -> Mapping[str, Handler]:
    """Returns the handlers by the names of their consumers."""
    return {REFUNDS: partial(record_refund, deps), ERASURE: partial(erase_addresses, deps)}


async def record_refund(deps: Deps, event: Event) -> None:
    """Records in the order what was refunded."""
    refund = PaymentRefunded.FromString(event.payload)

    async def record(tx: Transaction) -> None:
        order = await deps.orders.load(tx, refund.order_id)
        events = after_placing.record_refund(order, refund.payment_id, refund.refunded_total)
        await deps.orders.change(tx, order, events)

    await _once(deps, REFUNDS, event, record)


async def erase_addresses(deps: Deps, event: Event) -> None:
    """Deletes the delivery addresses of all orders of an erased account."""
    user_id = UserDeleted.FromString(event.payload).user_id
    await _once(deps, ERASURE, event, lambda tx: deps.orders.erase_addresses(tx, user_id))


async def _once(deps: Deps, consumer: str, event: Event, work: Callable[[Transaction], Awaitable[None]]) -> None:
    async def record(tx: Transaction) -> None:
        if await deps.inbox.first_time(tx, consumer, event.id):
            await work(tx)

    await decide(deps.database, record)
