"""The saga that cancels an order.

    | refund payment -> return stock -> finish

`|` is the pivot: after it the saga only goes forward.
"""

from dataclasses import replace

from marketplace.order.domain import after_placing
from marketplace.order.domain.order import Order
from marketplace.order.ports import Payments, Stock
from marketplace.order.saga.attempt import PLACE_ORDER, reservation_key
from marketplace.order.store.orders import OrderStore
from souk.sdk import Saga, SagaRunner, Step, StepCall, Transaction

CANCEL = "cancel-order"


class CancelOrderSaga:
    """The steps of cancelling."""

    def __init__(self, orders: OrderStore, stock: Stock, payments: Payments) -> None:
        self._orders = orders
        self._stock = stock
        self._payments = payments
        self.saga = Saga(
            CANCEL,
            Step("refund payment", do=self._refund, pivot=True),
            Step("return stock", do=self._return_stock),
            ended=self._cancelled,
        )

    async def _refund(self, call: StepCall) -> None:
        if payment_id := call.input.decode():
            await self._payments.refund(call.key, payment_id, "order cancelled")

    async def _return_stock(self, call: StepCall) -> None:
        placed = replace(call.ref, name=PLACE_ORDER)
        await self._stock.take_back(reservation_key(placed))

    async def _cancelled(self, tx: Transaction, call: StepCall) -> None:
        order = await self._orders.load_recent(tx, call.ref.subject)
        await self._orders.change(tx, order, after_placing.finish_cancelling(order))


async def begin_cancelling(runner: SagaRunner, tx: Transaction, order: Order) -> None:
    """Starts the saga cancel-order for an order that has just become CANCELLING."""
    await runner.start(tx, CANCEL, order.id, order.attempt, order.payment_id.encode(), order.user_id)
