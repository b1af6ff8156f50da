"""Read orders: one, a page of them, the history of one. A buyer sees only their own."""

from shop.order.v1 import order_pb2 as pb

from marketplace.order.messages import event_message
from marketplace.order.ports import Orders
from souk.kernel.paging import page_of
from souk.store.database import Database, Transaction


class ReadOrders:
    """The use cases."""

    def __init__(self, database: Database, orders: Orders) -> None:
        self._database = database
        self._orders = orders

    async def one(self, user_id: str, order_id: str) -> pb.Order:
        """Raises ORDER_NOT_FOUND for anybody else's."""
        return await self._database.read(lambda tx: self._orders.shown(tx, user_id, order_id))

    async def page(self, user_id: str, request: pb.ListOrdersRequest) -> pb.ListOrdersResponse:
        """The newest first."""
        page = page_of(request, (int, str), caller=user_id)
        rows = await self._database.read(lambda tx: self._orders.page(tx, user_id, page.size + 1, page.after))
        shown, token = page.cut(rows, lambda row: (row.created_at, row.order.id))
        return pb.ListOrdersResponse(orders=[row.order for row in shown], next_page_token=token)

    async def history(self, user_id: str, request: pb.ListOrderEventsRequest) -> pb.ListOrderEventsResponse:
        """The oldest first."""
        page = page_of(request, (int,), caller=user_id)
        after = int(page.after[0]) if page.after else 0

        async def read(tx: Transaction) -> list[pb.OrderEvent]:
            await self._orders.shown(tx, user_id, request.id)
            history = await self._orders.history(tx, request.id)
            return [event_message(place, event, time) for place, (event, time) in enumerate(history, start=1)]

        events = (await self._database.read(read))[max(after, 0) :]
        shown, token = page.cut(events, lambda event: (event.sequence,))
        return pb.ListOrderEventsResponse(events=shown, next_page_token=token)
