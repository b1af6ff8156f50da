"""The consumer of erased accounts. It deletes their cards; payments stay, because they are the books."""

from collections.abc import Mapping
from functools import partial

from shop.user.v1.user_pb2 import UserDeleted
from soukapi.v1.event_pb2 import Event

from marketplace.payment.deps import Deps
from souk.sdk import Handler, Subscription, Transaction

ERASE_CARDS = "erase-cards"
SUBSCRIPTIONS = (Subscription(ERASE_CARDS, (UserDeleted.DESCRIPTOR.full_name,)),)


def consumers(deps: Deps) -> Mapping[str, Handler]:
    """Returns the handlers by the names of their consumers."""
    return {ERASE_CARDS: partial(erase_cards, deps)}


async def erase_cards(deps: Deps, event: Event) -> None:
    """Erases the cards of a deleted account, once for each event."""
    user_id = UserDeleted.FromString(event.payload).user_id

    async def work(tx: Transaction) -> None:
        if await deps.inbox.first_time(tx, ERASE_CARDS, event.id):
            # A card that is saved concurrently comes before, and is erased too, or after, and is refused.
            await deps.erased.erase(tx, user_id)
            await deps.cards.erase(tx, user_id)

    await deps.run(work)
