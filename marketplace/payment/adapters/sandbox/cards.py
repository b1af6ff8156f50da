"""The cards of the sandbox bank by token, and how each behaves."""

from dataclasses import dataclass

from marketplace.payment.ports import CardFace


@dataclass(frozen=True, slots=True)
class SandboxCard:
    """A card of the sandbox: `declines` is the reason with which it declines, `delay` the seconds until it settles.

    The answers to charges of a `silent` card are lost; charges of a card that `fails` end as an error of the bank.
    """

    face: CardFace
    declines: str = ""
    delay: float = 0.0
    silent: bool = False
    fails: bool = False


CARDS = {
    "tok_visa": SandboxCard(CardFace("visa", "4242")),
    "tok_declined": SandboxCard(CardFace("visa", "0002"), declines="card_declined"),
    "tok_insufficient_funds": SandboxCard(CardFace("visa", "9995"), declines="insufficient_funds"),
    "tok_slow": SandboxCard(CardFace("mastercard", "4444"), delay=3.0),
    "tok_timeout": SandboxCard(CardFace("mastercard", "5100"), silent=True),
    "tok_error": SandboxCard(CardFace("mastercard", "0119"), fails=True),
}


def face_of(token: str) -> CardFace | None:
    """Returns the brand and last digits of a card; None for a token that is not one of the sandbox's."""
    card = CARDS.get(token)
    return None if card is None else card.face
