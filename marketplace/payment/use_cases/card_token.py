"""What a client may send in place of a card: a token of the provider, never a number."""

import hashlib
import re

from marketplace.payment.office import Office

from marketplace.payment.ports import CardFace
from souk.kernel.errors import InvalidArgument, Violation

_SEPARATORS = re.compile(r"[\s.\-]")
_NUMBER = re.compile(r"\d{12,19}")


def face_of(token: str, office: Office) -> CardFace:
    """The card behind a token; raises InvalidArgument, and never repeats what was sent."""
    if _NUMBER.search(_SEPARATORS.sub("", token)):
        detail = "a card number is never accepted; send the provider's token"
        raise InvalidArgument([Violation("card_token", detail)])
    face = office.provider.face_of(token)
    if face is None:
        raise InvalidArgument([Violation("card_token", "is not a token of the card provider")])
    return face


def digest_of(token: str) -> str:
    """Tells tokens apart without keeping them."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]
