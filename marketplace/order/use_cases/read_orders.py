"""Read orders: one, as it is or was, a page of them, or the history of one. A buyer sees only their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import merge

from marketplace.order.deps import Deps
from marketplace.order.domain.order import Order
from marketplace.order.domain.shown import OperatorActed, ShownEvent, ShownOrder
from marketplace.order.events import Event
from souk.sdk import PageAsked, Transaction


@dataclass(frozen=True, slots=True)
class GetOrder:
    """Read one order of a buyer."""

    user_id: str
    order_id: str


@dataclass(frozen=True, slots=True)
class GetPastOrder:
    """Read one order of a buyer as it was at a time, in microseconds since 1970."""

    user_id: str
    order_id: str
    time: int


@dataclass(frozen=True, slots=True)
class ListOrders:
    """Read a page of a buyer's orders."""

    user_id: str
    page: PageAsked


@dataclass(frozen=True, slots=True)
class ListOrderEvents:
    """Read a page of the history of a buyer's order."""

    user_id: str
    order_id: str
    page: PageAsked


async def get_order(deps: Deps, query: GetOrder) -> ShownOrder:
    """Returns the order; raises ORDER_NOT_FOUND also for another buyer's order."""
    return await deps.database.read(lambda tx: deps.orders.read_model.shown(tx, query.user_id, query.order_id))


async def get_past_order(deps: Deps, query: GetPastOrder) -> Order:
    """Returns the order as its events had made it by then; raises ORDER_NOT_FOUND also before it was placed."""
    return await deps.database.read(lambda tx: deps.orders.load_past(tx, query.user_id, query.order_id, query.time))


async def list_orders(deps: Deps, query: ListOrders) -> tuple[Sequence[ShownOrder], str | None]:
    """Returns a page of orders, the newest first, and the token of the next page."""
    page = query.page
    rows = await deps.database.read(
        lambda tx: deps.orders.read_model.page(tx, query.user_id, page.size + 1, page.after)
    )
    return page.cut(rows, lambda order: (order.created_at, order.id))


async def list_order_events(deps: Deps, query: ListOrderEvents) -> tuple[Sequence[ShownEvent], str | None]:
    """Returns a page of events, with what operators did, the oldest first, and the token of the next page.

    Raises ORDER_NOT_FOUND.
    """
    page = query.page
    after = int(page.after[0]) if page.after else 0

    async def read(tx: Transaction) -> list[ShownEvent]:
        await deps.orders.read_model.shown(tx, query.user_id, query.order_id)
        history: list[tuple[Event | OperatorActed, int]] = [*await deps.orders.history(tx, query.order_id)]
        actions = await deps.runner.actions(tx, query.order_id)
        acted = [(OperatorActed(one.ref.name, one.ref.attempt, one.action, one.step), one.at) for one in actions]
        # Each of the two keeps its own order, whatever the times.
        together = merge(history, acted, key=lambda pair: pair[1])
        return [ShownEvent(sequence, event, time) for sequence, (event, time) in enumerate(together, start=1)]

    events = (await deps.database.read(read))[max(after, 0) :]
    return page.cut(events, lambda event: (event.sequence,))
