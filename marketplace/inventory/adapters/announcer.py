"""Announcements as events in the outbox."""

from shop.inventory.v1 import inventory_pb2

from souk.store.database import Transaction
from souk.store.outbox import Outbox


class OutboxAnnouncer:
    """Implements `ports.Announcer`."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def stock_changed(self, tx: Transaction, product_id: str, available: int) -> None:
        """Publishes StockChanged, in order for each product."""
        event = inventory_pb2.StockChanged(product_id=product_id, available=available)
        await self._outbox.publish(tx, product_id, event)
