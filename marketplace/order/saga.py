"""The two sagas of an order: placing it, and cancelling it.

    place-order     reserve stock -> charge payment -> confirm order | -> commit stock
    cancel-order    | refund payment -> return stock -> finish

`|` is the pivot: after it a saga only goes forward.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import orjson
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue
from shop.inventory.v1 import inventory_pb2
from shop.order.v1 import order_pb2 as pb
from shop.payment.v1 import payment_pb2

from marketplace.order import domain
from marketplace.order.domain import Order
from marketplace.order.events import Item, StockReserved
from marketplace.order.messages import order_cancelled, order_message, unavailable
from marketplace.order.ports import Charge, Payments, Stock
from marketplace.order.store.orders import OrderStore
from souk.sdk import DomainError, Refusal, Saga, SagaRef, SagaRunner, Step, StepCall, Transaction, decode_status

M = TypeVar("M", bound=Message)

PLACE_ORDER, CANCEL = "place-order", "cancel-order"
RESERVE, CHARGE = "reserve stock", "charge payment"


@dataclass(frozen=True, slots=True)
class Placing:
    """The input of an attempt. It never changes while the attempt runs: a step that is called again must
    send the very same request."""

    user_id: str
    items: tuple[Item, ...]
    total: int
    currency: str
    source: bytes
    reserved_until: int

    def pack(self) -> bytes:
        """Serialises it as the input of a saga."""
        return orjson.dumps(
            {
                "user_id": self.user_id,
                "items": self.items,
                "total": self.total,
                "currency": self.currency,
                "source": self.source.hex(),
                "reserved_until": self.reserved_until,
            }
        )

    @classmethod
    def unpack(cls, data: bytes) -> "Placing":
        """Makes it of what `pack` returned."""
        fields = orjson.loads(data)
        items = tuple(Item(**item) for item in fields["items"])
        return cls(**{**fields, "items": items, "source": bytes.fromhex(fields["source"])})


Run = Callable[[tuple[Saga, ...]], SagaRunner]


class OrderSagas:
    """The steps of both sagas. `run` makes the runner of the sagas; `place_order_deadline` is in seconds."""

    def __init__(
        self, orders: OrderStore, stock: Stock, payments: Payments, place_order_deadline: float, run: Run
    ) -> None:
        self._orders = orders
        self._stock = stock
        self._payments = payments
        self.sagas = self._sagas(place_order_deadline)
        self.runner = run(self.sagas)

    def _sagas(self, place_order_deadline: float) -> tuple[Saga, ...]:
        place_order = Saga(
            PLACE_ORDER,
            Step(RESERVE, do=self._reserve, undo=self._release, record=self._reserved),
            Step(CHARGE, do=self._charge, undo=self._cancel_charge, outcome_waits=False),
            Step("confirm order", record=self._confirm, pivot=True),
            Step("commit stock", do=self._commit_stock),
            rejected=self._reject,
            ended=self._placed,
            deadline=place_order_deadline,
        )
        cancel_order = Saga(
            CANCEL,
            Step("refund payment", do=self._refund, pivot=True),
            Step("return stock", do=self._return_stock),
            ended=self._cancelled,
        )
        return (place_order, cancel_order)

    # place-order

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
        order = await self._orders.load_recent(tx, call.ref.subject)
        payment_id = StringValue.FromString(call.results[CHARGE]).value
        order = await self._orders.change(tx, order, domain.confirm(order, payment_id))
        await self._orders.answer(tx, order, order_message(order))

    async def _commit_stock(self, call: StepCall) -> None:
        await self._stock.commit(call.keys[RESERVE])

    async def _reject(self, tx: Transaction, call: StepCall, refusal: Refusal) -> None:
        order = await self._orders.load_recent(tx, call.ref.subject)
        error = refusal_of(refusal)
        final = refusal.final and refusal.reason == error.reason
        order = await self._orders.change(tx, order, domain.reject(order, error.reason, final=final))
        if not order.retryable:
            await self._orders.answer(tx, order, error if final else order_cancelled())

    async def _placed(self, tx: Transaction, call: StepCall) -> None:
        order = await self._orders.load_recent(tx, call.ref.subject)
        after = await self._orders.change(tx, order, domain.finish_placing(order))
        if after.status is domain.Status.CANCELLING:
            await begin_cancelling(self.runner, tx, after)

    # cancel-order

    async def _refund(self, call: StepCall) -> None:
        if payment_id := call.input.decode():
            await self._payments.refund(call.key, payment_id, "order cancelled")

    async def _return_stock(self, call: StepCall) -> None:
        placed = replace(call.ref, name=PLACE_ORDER)
        await self._stock.take_back(reservation_key(placed))

    async def _cancelled(self, tx: Transaction, call: StepCall) -> None:
        order = await self._orders.load_recent(tx, call.ref.subject)
        await self._orders.change(tx, order, domain.finish_cancelling(order))


async def begin_cancelling(runner: SagaRunner, tx: Transaction, order: Order) -> None:
    """Starts the saga cancel-order for an order that has just become CANCELLING."""
    await runner.start(tx, CANCEL, order.id, order.attempt, order.payment_id.encode(), order.user_id)


def reservation_key(ref: SagaRef) -> str:
    """Returns the key under which an attempt reserved its stock."""
    return f"{ref.subject}:{ref.attempt}:{Step(RESERVE).slug}"


def refusal_of(refusal: Refusal) -> DomainError:
    """Translates the refusal of a step into a refusal of Order's own contract."""
    match refusal.step, refusal.reason:
        case _, "OUT_OF_STOCK":
            short = _detail(refusal.status, inventory_pb2.StockShortage())
            items = [pb.AvailableStock(product_id=item.product_id, available=item.available) for item in short.items]
            return DomainError("OUT_OF_STOCK", "there is not enough stock", pb.StockShortage(items=items))
        case _, "PAYMENT_DECLINED":
            info = _detail(refusal.status, payment_pb2.DeclineInfo())
            return DomainError("PAYMENT_DECLINED", refusal.detail, pb.DeclineInfo(reason=info.reason))
        case step, _:
            return unavailable("inventory" if step == RESERVE else "payment")


def _detail(status: bytes, message: M) -> M:
    return next((detail for detail in decode_status(status).details if isinstance(detail, type(message))), message)
