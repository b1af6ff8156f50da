"""Turn the payment method that a buyer names into the card or wallet to charge."""

from dataclasses import dataclass

from marketplace.payment.deps import Deps
from marketplace.payment.domain import WALLET
from souk.sdk import DomainError, Transaction

DEFAULT_CARD = "card"


@dataclass(frozen=True, slots=True)
class ResolveMethod:
    """Find what to charge; `payment_method` is "card", "wallet", or the id of a saved card."""

    user_id: str
    payment_method: str


async def resolve_method(deps: Deps, query: ResolveMethod) -> str | None:
    """Returns the id of the card to charge, or None for the wallet; raises PAYMENT_METHOD_NOT_FOUND."""
    if query.payment_method == WALLET:
        return None

    async def work(tx: Transaction) -> str:
        if query.payment_method == DEFAULT_CARD:
            card = await deps.cards.default(tx, query.user_id)
        else:
            card = await deps.cards.find(tx, query.payment_method, query.user_id)
        if card is None or card.forgotten:
            raise card_not_found()
        return card.id

    return await deps.database.read(work, single=True)


def card_not_found() -> DomainError:
    """Makes the refusal; it never repeats what the buyer sent, which could be a card number."""
    return DomainError("PAYMENT_METHOD_NOT_FOUND", "the payment method does not exist, or there is no default card")
