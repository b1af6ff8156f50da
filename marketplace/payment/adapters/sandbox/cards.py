"""The sandbox's cards, by token, and what each is good for."""

from dataclasses import dataclass

from marketplace.payment.ports import CardFace


@dataclass(frozen=True, slots=True)
class SandboxCard:
    """`declines` is the reason of every answer; `delay` is in seconds; `silent` never answers a charge."""

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
    """What may be shown of a card; None for a token that the sandbox never gave out."""
    card = CARDS.get(token)
    return None if card is None else card.face
