"""Erase the cards of an account that was deleted. Payments stay: they are the books."""

from marketplace.payment.office import Office
from shop.user.v1.user_pb2 import UserDeleted
from soukapi.v1.event_pb2 import Event

from souk.store.database import Transaction
from souk.store.inbox import Inbox

CONSUMER = "erase-cards"


async def erase_cards(event: Event, office: Office, inbox: Inbox) -> None:
    """Handles shop.user.v1.UserDeleted, once."""
    user_id = UserDeleted.FromString(event.payload).user_id

    async def work(tx: Transaction) -> None:
        if await inbox.first_time(tx, CONSUMER, event.id):
            # A card that is saved at the same time comes before, and goes too, or after, and is refused.
            await office.erased.erase(tx, user_id)
            await office.cards.erase(tx, user_id)

    await office.run(work)
