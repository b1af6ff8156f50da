"""Cancel an order: record the wish, wait for refund and restock."""

from marketplace.order import domain
from marketplace.order.domain import Order, Status
from marketplace.order.messages import order_cancelled
from marketplace.order.ports import Orders
from marketplace.order.saga import CANCEL, PLACE, OrderSagas
from marketplace.order.use_cases.place_order import ANSWER_BEFORE, DEFAULT_TIMEOUT
from souk.kernel.clock import Clock
from souk.kernel.context import current
from souk.saga.definition import SagaRef
from souk.saga.runner import SagaRunner
from souk.store.database import Database, Transaction
from souk.store.event_store import decide


class CancelOrder:
    """The use case."""

    def __init__(self, database: Database, orders: Orders, sagas: OrderSagas, runner: SagaRunner, clock: Clock) -> None:
        self._database = database
        self._orders = orders
        self._sagas = sagas
        self._runner = runner
        self._clock = clock

    async def __call__(self, user_id: str, order_id: str) -> Order:
        """The order when it has come to rest, or as it is when time is up. A repeat changes nothing."""

        async def record(tx: Transaction) -> Order:
            await self._orders.require_buyer(tx, user_id)
            before = await self._orders.load_own(tx, user_id, order_id)
            after = await self._orders.change(tx, before, domain.cancel(before))
            if after.status is Status.CANCELLING and before.status is not Status.CANCELLING:
                await self._sagas.begin_cancelling(tx, after)
            if after.status is Status.REJECTED and before.retryable:
                await self._orders.answer(tx, after, order_cancelled())
            return after

        return await self._rest(await decide(self._database, record))

    async def _rest(self, order: Order) -> Order:
        """Follows the sagas: placing must end before cancelling begins."""
        deadline = current().deadline
        until = (self._clock.monotonic() + DEFAULT_TIMEOUT if deadline is None else deadline) - ANSWER_BEFORE
        placing, cancelling = (SagaRef(name, order.id, order.attempt) for name in (PLACE, CANCEL))
        if order.status is Status.PENDING:
            await self._runner.wait(placing, until)
            order = await self._load(order)
        if order.status is Status.CONFIRMED:
            await self._runner.wait_ended(placing, until)
            order = await self._load(order)
        if order.status is Status.CANCELLING:
            await self._runner.wait_ended(cancelling, until)
            order = await self._load(order)
        return order

    async def _load(self, order: Order) -> Order:
        return await self._database.read(lambda tx: self._orders.load(tx, order.id))
