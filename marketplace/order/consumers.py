"""What follows from refunds and erased accounts: once an event, however often it comes."""

import asyncio
from collections.abc import Awaitable, Callable

from shop.payment.v1.payment_pb2 import PaymentRefunded
from shop.user.v1.user_pb2 import UserDeleted
from soukapi.v1.event_pb2 import Event

from marketplace.order import domain
from marketplace.order.ports import Orders
from souk.store.database import Database, Transaction
from souk.store.event_store import decide
from souk.store.inbox import Inbox

REFUNDS, ERASURE = "refunds", "erasure"
AGAIN = 60.0
"""Seconds from one look for late addresses to the next."""


class HearEvents:
    """The consumers."""

    def __init__(self, database: Database, orders: Orders, inbox: Inbox) -> None:
        self._database = database
        self._orders = orders
        self._inbox = inbox

    async def refunded(self, event: Event) -> None:
        """The order shows what was given back."""
        refund = PaymentRefunded.FromString(event.payload)

        async def record(tx: Transaction) -> None:
            order = await self._orders.load(tx, refund.order_id)
            events = domain.record_refund(order, refund.payment_id, refund.refunded_total)
            await self._orders.change(tx, order, events)

        await self._once(REFUNDS, event, record)

    async def user_deleted(self, event: Event) -> None:
        """Nothing is left of where the parcels went."""
        user_id = UserDeleted.FromString(event.payload).user_id
        await self._once(ERASURE, event, lambda tx: self._orders.erase_addresses(tx, user_id))

    async def keep_erased(self) -> None:
        """Now and then, erases what an order on another connection kept while its buyer was erased.

        Where transactions run side by side, neither of the two sees what the other writes.
        """
        while True:
            await self._database.run(self._orders.erase_late, guarded=True)
            await asyncio.sleep(AGAIN)

    async def _once(self, consumer: str, event: Event, work: Callable[[Transaction], Awaitable[None]]) -> None:
        async def record(tx: Transaction) -> None:
            if await self._inbox.first_time(tx, consumer, event.id):
                await work(tx)

        await decide(self._database, record)
