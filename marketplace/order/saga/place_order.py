"""The saga that places an order.

    reserve stock -> charge payment -> confirm order | -> commit stock

`|` is the pivot: before it, what was done is undone in reverse order; after it the saga only goes forward.
"""

from google.protobuf.wrappers_pb2 import StringValue

from marketplace.order.events import StockReserved
from marketplace.order.ports import Charge, Payments, Stock
from marketplace.order.saga.attempt import CHARGE, PLACE_ORDER, RESERVE, Placing
from marketplace.order.saga.outcomes import PlacingOutcomes
from marketplace.order.store.orders import OrderStore
from souk.sdk import Saga, Step, StepCall, Transaction


class PlaceOrderSaga:
    """The steps of placing. `deadline` is in seconds; `outcomes` writes how it ended."""

    def __init__(
        self, orders: OrderStore, stock: Stock, payments: Payments, deadline: float, outcomes: PlacingOutcomes
    ) -> None:
        self._orders = orders
        self._stock = stock
        self._payments = payments
        self._outcomes = outcomes
        self.saga = Saga(
            PLACE_ORDER,
            Step(RESERVE, do=self._reserve, undo=self._release, record=self._reserved),
            Step(CHARGE, do=self._charge, undo=self._cancel_charge, outcome_waits=False),
            Step("confirm order", record=self._confirm, pivot=True),
            Step("commit stock", do=self._commit_stock),
            rejected=outcomes.reject,
            ended=outcomes.placed,
            deadline=deadline,
        )

    async def _reserve(self, call: StepCall) -> None:
        placing = Placing.unpack(call.input)
        await self._stock.reserve(call.key, call.ref.subject, placing.items, placing.reserved_until)

    async def _release(self, call: StepCall) -> None:
        await self._stock.release(call.key)

    async def _reserved(self, tx: Transaction, call: StepCall, result: bytes) -> None:
        order = await self._orders.load_recent(tx, call.ref.subject)
        await self._orders.change(tx, order, [StockReserved(call.ref.attempt)])

    async def _charge(self, call: StepCall) -> StringValue:
        placing = Placing.unpack(call.input)
        if placing.total == 0:
            return StringValue()
        charge = Charge(call.key, call.ref.subject, placing.user_id, placing.total, placing.currency, placing.source)
        return StringValue(value=await self._payments.charge(charge))

    async def _cancel_charge(self, call: StepCall) -> None:
        if Placing.unpack(call.input).total:
            await self._payments.cancel(call.key, call.ref.subject)

    async def _confirm(self, tx: Transaction, call: StepCall, result: bytes) -> None:
        await self._outcomes.confirm(tx, call)

    async def _commit_stock(self, call: StepCall) -> None:
        await self._stock.commit(call.keys[RESERVE])
