"""What follows from the events that Payment hears: erased accounts. Payments stay: they are the books."""

from collections.abc import Mapping
from functools import partial

from shop.user.v1.user_pb2 import UserDeleted
from soukapi.v1.event_pb2 import Event

from marketplace.payment.deps import Deps
from souk.sdk import Handler, Subscription, Transaction

ERASE_CARDS = "erase-cards"
SUBSCRIPTIONS = (Subscription(ERASE_CARDS, (UserDeleted.DESCRIPTOR.full_name,)),)


def consumers(deps: Deps) -> Mapping[str, Handler]:
    """The handlers by the names of their consumers."""
    return {ERASE_CARDS: partial(erase_cards, deps)}


async def erase_cards(deps: Deps, event: Event) -> None:
    """Erases the cards of an account that was deleted, once."""
    user_id = UserDeleted.FromString(event.payload).user_id

    async def work(tx: Transaction) -> None:
        if await deps.inbox.first_time(tx, ERASE_CARDS, event.id):
            # A card that is saved at the same time comes before, and goes too, or after, and is refused.
            await deps.erased.erase(tx, user_id)
            await deps.cards.erase(tx, user_id)

    await deps.run(work)
