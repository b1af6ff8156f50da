"""Ship and deliver: what an administrator records of a parcel's way."""

from collections.abc import Callable

from marketplace.order.domain import Order
from marketplace.order.events import Event
from marketplace.order.ports import Orders
from souk.store.database import Database, Transaction
from souk.store.event_store import decide

Decision = Callable[[Order], list[Event]]


class MoveParcel:
    """Takes a decision about any buyer's order: `domain.ship` or `domain.deliver`."""

    def __init__(self, database: Database, orders: Orders, decision: Decision) -> None:
        self._database = database
        self._orders = orders
        self._decision = decision

    async def __call__(self, order_id: str) -> Order:
        """Raises ORDER_NOT_FOUND, or the refusal of the decision."""

        async def record(tx: Transaction) -> Order:
            order = await self._orders.load_known(tx, order_id)
            return await self._orders.change(tx, order, self._decision(order))

        return await decide(self._database, record)
