"""Forget a saved card. It can still be charged for an order that was placed with it before."""

from dataclasses import dataclass

from marketplace.payment.deps import Deps
from marketplace.payment.use_cases.resolve_method import card_not_found
from souk.sdk import Transaction

FORGOTTEN_KEPT = 100
"""The number of forgotten cards that are kept for a user, so that orders under way can still be charged to them."""


@dataclass(frozen=True, slots=True)
class ForgetCard:
    """Forget one of a user's cards."""

    user_id: str
    card_id: str


async def forget_card(deps: Deps, command: ForgetCard) -> None:
    """Hides the card; if it was the default, the oldest remaining card becomes the default.

    Raises PAYMENT_METHOD_NOT_FOUND and Unauthenticated.
    """

    async def work(tx: Transaction) -> None:
        await deps.erased.require_known(tx, command.user_id)
        card = await deps.cards.find(tx, command.card_id, command.user_id)
        if card is None or card.forgotten:
            raise card_not_found()
        await deps.cards.forget(tx, card, FORGOTTEN_KEPT)
        heir = await deps.cards.oldest(tx, command.user_id) if card.is_default else None
        if heir is not None:
            await deps.cards.set_default(tx, command.user_id, heir.id)

    await deps.run(work)
