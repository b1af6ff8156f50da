"""What Payment needs from outside, in its own words: a card provider."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from souk.sdk import SoukError


class ProviderUnavailable(SoukError):
    """The provider did nothing: it was never reached. `retry_after` is in seconds."""

    def __init__(self, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ProviderRefused(ProviderUnavailable):
    """The provider did nothing, and says so: it is there, and answers."""


class ProviderSilent(SoukError):
    """No answer came: the provider may or may not have done it. Ask again by key."""


class Verdict(Enum):
    """What the provider knows of a charge. VOIDED never was one, and never will be."""

    CHARGED = "charged"
    DECLINED = "declined"
    VOIDED = "voided"
    PROCESSING = "processing"


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """The provider's word on a charge; `reason` says why it was declined."""

    verdict: Verdict
    reason: str = ""


class RefundVerdict(Enum):
    """What the provider knows of a refund. PENDING is asked for again; FAILED moved no money, and never will."""

    MADE = "succeeded"
    PENDING = "pending"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ProviderCharge:
    """A charge in the provider's own record; amounts are in minor units."""

    key: str
    amount: int
    currency: str
    verdict: Verdict
    refunded: int


@dataclass(frozen=True, slots=True)
class CardFace:
    """What may be known of a card without its number."""

    brand: str
    last4: str


class CardProvider(Protocol):
    """Whoever moves money from cards: a bank, outside the system.

    It keeps keys for ever: a call that is made again with its key is done once, and gets the answer
    of the first. Every call raises ProviderUnavailable when it surely did nothing, and
    ProviderSilent when that is not known.
    """

    async def charge(self, key: str, token: str, amount: int, currency: str, customer: str = "") -> ProviderAnswer:
        """Takes money from a card; `customer` is who pays with it, for whoever tells callers apart."""
        ...

    async def find(self, key: str) -> ProviderAnswer | None:
        """What became of a charge; None if its key was never seen. A charge may still be on its way."""
        ...

    async def void(self, key: str) -> ProviderAnswer:
        """Blocks a charge that has not happened yet, and says what is true of it from now on.

        The answer is never PROCESSING. Networks know this as a reversal by reference, or a
        technical cancel.
        """
        ...

    async def refund(self, key: str, charge_key: str, amount: int) -> RefundVerdict:
        """Gives back money of a charge."""
        ...

    async def find_refund(self, key: str) -> RefundVerdict | None:
        """What became of a refund; None if its key was never seen."""
        ...

    async def charges(self, after: str, limit: int) -> list[ProviderCharge]:
        """The provider's record in the order of its entries, behind the key `after` (empty: from the first)."""
        ...

    def face_of(self, token: str) -> CardFace | None:
        """The card behind a token; None when it is not one of the provider's."""
        ...

    async def close(self) -> None:
        """Lets go of connections and files."""
        ...
