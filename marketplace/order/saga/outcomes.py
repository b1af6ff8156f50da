"""What the outcomes of placing mean to the order, whichever coordinator has placed it.

Each function writes in the coordinator's transaction: what is decided and what it means commit together.
"""

from collections.abc import Awaitable, Callable

from google.protobuf.wrappers_pb2 import StringValue

from marketplace.order.domain.order import Order, Status, confirm, finish_placing, reject
from marketplace.order.messages import order_cancelled
from marketplace.order.saga.attempt import CHARGE
from marketplace.order.saga.refusals import refusal_of
from marketplace.order.store.orders import OrderStore
from souk.sdk import Refusal, StepCall, Transaction

BeginCancelling = Callable[[Transaction, Order], Awaitable[None]]


class PlacingOutcomes:
    """Writes the outcomes of placing; `begin_cancelling` starts the saga that cancels, in a transaction."""

    def __init__(self, orders: OrderStore, begin_cancelling: BeginCancelling) -> None:
        self._orders = orders
        self._begin_cancelling = begin_cancelling

    async def confirm(self, tx: Transaction, call: StepCall) -> None:
        """Confirms the order: it is paid, by the payment that charging it returned, and its stock is its own."""
        order = await self._orders.load_recent(tx, call.ref.subject)
        payment_id = StringValue.FromString(call.results[CHARGE]).value
        order = await self._orders.change(tx, order, confirm(order, payment_id))
        await self._orders.answer(tx, order)

    async def reject(self, tx: Transaction, call: StepCall, refusal: Refusal) -> None:
        """Rejects the present attempt; a final refusal is also the answer to the order's key."""
        order = await self._orders.load_recent(tx, call.ref.subject)
        error = refusal_of(refusal)
        final = refusal.final and refusal.reason == error.reason
        order = await self._orders.change(tx, order, reject(order, error.reason, final=final))
        if not order.retryable:
            await self._orders.answer(tx, order, error if final else order_cancelled())

    async def placed(self, tx: Transaction, call: StepCall) -> None:
        """Ends placing; a request to cancel that was recorded meanwhile takes effect."""
        order = await self._orders.load_recent(tx, call.ref.subject)
        after = await self._orders.change(tx, order, finish_placing(order))
        if after.status is Status.CANCELLING:
            await self._begin_cancelling(tx, after)
