"""Cancel an order: record the buyer's request, then wait for the refund and the return of the stock."""

from dataclasses import dataclass

from marketplace.order.deps import Deps
from marketplace.order.domain import after_placing
from marketplace.order.domain.order import Order, Status
from marketplace.order.messages import order_cancelled
from marketplace.order.saga.attempt import PLACE_ORDER
from marketplace.order.saga.cancel_order import CANCEL, begin_cancelling
from souk.sdk import SagaRef, Transaction, decide


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Cancel a buyer's order."""

    user_id: str
    order_id: str


async def cancel_order(deps: Deps, command: CancelOrder) -> Order:
    """Cancels the order, and returns it when its sagas have ended, or as it is when time is up.

    A repeat changes nothing. Raises ORDER_NOT_FOUND and NOT_CANCELLABLE.
    """

    async def record(tx: Transaction) -> Order:
        await deps.orders.require_buyer(tx, command.user_id)
        before = await deps.orders.load_own(tx, command.user_id, command.order_id)
        after = await deps.orders.change(tx, before, after_placing.cancel(before))
        if after.status is Status.CANCELLING and before.status is not Status.CANCELLING:
            await begin_cancelling(deps.runner, tx, after)
        if after.status is Status.REJECTED and before.retryable:
            await deps.orders.answer(tx, after, order_cancelled())
        return after

    return await _rest(deps, await decide(deps.database, record))


async def _rest(deps: Deps, order: Order) -> Order:
    """Waits for the sagas of the order: placing must end before cancelling begins."""
    until = deps.answer_by()
    placing, cancelling = (SagaRef(name, order.id, order.attempt) for name in (PLACE_ORDER, CANCEL))
    if order.status is Status.PENDING:
        await deps.placing.wait(placing, until)
        order = await _load(deps, order)
    if order.status is Status.CONFIRMED:
        await deps.placing.wait_ended(placing, until)
        order = await _load(deps, order)
    if order.status is Status.CANCELLING:
        await deps.runner.wait_ended(cancelling, until)
        order = await _load(deps, order)
    return order


async def _load(deps: Deps, order: Order) -> Order:
    return await deps.database.read(lambda tx: deps.orders.load(tx, order.id))
