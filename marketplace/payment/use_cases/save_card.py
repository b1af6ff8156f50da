"""Save a card by its token. The first becomes the default."""

from dataclasses import dataclass

from marketplace.payment.office import Office

from marketplace.payment.domain import Card
from marketplace.payment.use_cases.card_token import face_of
from souk.kernel.errors import DomainError
from souk.kernel.ids import new_id
from souk.store.database import Transaction

MOST_CARDS = 20
"""Cards that an account may have at once."""


@dataclass(frozen=True, slots=True)
class SaveCard:
    """Save the card behind `token`; with an `id` of its own, a repeat finds it saved (demo data)."""

    user_id: str
    token: str
    is_default: bool
    id: str = ""


async def save_card(command: SaveCard, office: Office) -> Card:
    """The saved card; raises InvalidArgument for no token of the provider, TOO_MANY_CARDS and Unauthenticated."""
    face = face_of(command.token, office)

    async def work(tx: Transaction) -> Card:
        await office.erased.require_known(tx, command.user_id)
        known = await office.cards.find(tx, command.id, command.user_id) if command.id else None
        if known is not None:
            return known
        if await office.cards.count(tx, command.user_id) >= MOST_CARDS:
            raise DomainError("TOO_MANY_CARDS", f"an account has at most {MOST_CARDS} saved cards")
        is_default = command.is_default or await office.cards.default(tx, command.user_id) is None
        card = Card(
            id=command.id or new_id("PM", office.clock),
            user_id=command.user_id,
            token=command.token,
            brand=face.brand,
            last4=face.last4,
            is_default=is_default,
            forgotten=False,
            created_at=office.clock.now(),
        )
        if is_default:
            await office.cards.set_default(tx, command.user_id, card.id)
        await office.cards.insert(tx, card)
        return card

    return await office.run(work)
