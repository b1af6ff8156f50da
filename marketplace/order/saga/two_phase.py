"""Placing an order as one transaction over Inventory and Payment, by two-phase commit.

    prepare the sale, prepare the charge; decide, with the order's confirmation; commit both

It is the other way to do what `place_order.py` does as a saga: for orders that are paid from the wallet. There is
nothing to undo, and nothing in between is ever seen; but the rows of the products and of the wallet are locked from
prepare to commit, however long that takes. See docs/decisions/0061.
"""

from google.protobuf.wrappers_pb2 import StringValue

from marketplace.order.ports import Charge, PreparedPayments, PreparedStock
from marketplace.order.saga.attempt import CHARGE, PLACE_ORDER, RESERVE, Placing, charge_key, reservation_key
from marketplace.order.saga.outcomes import PlacingOutcomes
from souk.sdk import AtomicAction, Branch, StepCall


class PlaceOrderAtOnce:
    """The branches of placing."""

    def __init__(self, outcomes: PlacingOutcomes, stock: PreparedStock, payments: PreparedPayments) -> None:
        self._stock = stock
        self._payments = payments
        self.action = AtomicAction(
            PLACE_ORDER,
            Branch(RESERVE, prepare=self._prepare_sale, commit=self._commit_sale, roll_back=self._roll_back_sale),
            Branch(CHARGE, prepare=self._prepare_charge, commit=self._commit_charge, roll_back=self._roll_back_charge),
            decided=outcomes.confirm,
            aborted=outcomes.reject,
            ended=outcomes.placed,
        )

    async def _prepare_sale(self, call: StepCall) -> None:
        placing = Placing.unpack(call.input)
        await self._stock.prepare(call.key, reservation_key(call.ref), call.ref.subject, placing.items)

    async def _commit_sale(self, call: StepCall) -> None:
        await self._stock.commit(call.key)

    async def _roll_back_sale(self, call: StepCall) -> None:
        await self._stock.roll_back(call.key)

    async def _prepare_charge(self, call: StepCall) -> StringValue:
        placing, ref = Placing.unpack(call.input), call.ref
        if placing.total == 0:
            return StringValue()
        key = charge_key(ref)
        charge = Charge(key, ref.subject, placing.user_id, placing.total, placing.currency, placing.source)
        return StringValue(value=await self._payments.prepare(call.key, charge))

    async def _commit_charge(self, call: StepCall) -> None:
        if Placing.unpack(call.input).total:
            await self._payments.commit(call.key)

    async def _roll_back_charge(self, call: StepCall) -> None:
        if Placing.unpack(call.input).total:
            await self._payments.roll_back(call.key)
