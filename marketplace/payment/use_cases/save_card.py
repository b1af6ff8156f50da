"""Save a card by its token. The first card becomes the default.

A client sends the provider's token of a card, never its number.
"""

import hashlib
import re
from dataclasses import dataclass

from marketplace.payment.deps import Deps
from marketplace.payment.domain import Card
from marketplace.payment.ports import CardFace
from souk.sdk import DomainError, InvalidArgument, Transaction, Violation, new_id

MOST_CARDS = 20
"""The most cards that an account may have at once."""
_SEPARATORS = re.compile(r"[\s.\-]")
_NUMBER = re.compile(r"\d{12,19}")


@dataclass(frozen=True, slots=True)
class SaveCard:
    """Save the card behind `token`; demo data gives an `id`, so that a repeat finds the card saved."""

    user_id: str
    token: str
    is_default: bool
    id: str = ""


async def save_card(deps: Deps, command: SaveCard) -> Card:
    """Saves the card and returns it; raises InvalidArgument for an unknown token, TOO_MANY_CARDS, Unauthenticated."""
    face = face_of(deps, command.token)

    async def work(tx: Transaction) -> Card:
        await deps.erased.require_known(tx, command.user_id)
        known = await deps.cards.find(tx, command.id, command.user_id) if command.id else None
        if known is not None:
            return known
        if await deps.cards.count(tx, command.user_id) >= MOST_CARDS:
            raise DomainError("TOO_MANY_CARDS", f"an account has at most {MOST_CARDS} saved cards")
        is_default = command.is_default or await deps.cards.default(tx, command.user_id) is None
        card = Card(
            id=command.id or new_id("PM", deps.clock),
            user_id=command.user_id,
            token=command.token,
            brand=face.brand,
            last4=face.last4,
            is_default=is_default,
            forgotten=False,
            created_at=deps.clock.now(),
        )
        if is_default:
            await deps.cards.set_default(tx, command.user_id, card.id)
        await deps.cards.insert(tx, card)
        return card

    return await deps.run(work)


def face_of(deps: Deps, token: str) -> CardFace:
    """Returns the brand and last digits behind a token; raises InvalidArgument, which never repeats the token."""
    if _NUMBER.search(_SEPARATORS.sub("", token)):
        detail = "a card number is never accepted; send the provider's token"
        raise InvalidArgument([Violation("card_token", detail)])
    face = deps.provider.face_of(token)
    if face is None:
        raise InvalidArgument([Violation("card_token", "is not a token of the card provider")])
    return face


def digest_of(token: str) -> str:
    """Returns a digest by which tokens are told apart without storing them."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]
