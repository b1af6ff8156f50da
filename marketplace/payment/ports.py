"""The port to a card provider, and what it answers."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from souk.sdk import SoukError


class ProviderUnavailable(SoukError):
    """The provider was not reached, and did nothing. `retry_after` is in seconds."""

    def __init__(self, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ProviderRefused(ProviderUnavailable):
    """The provider answered that it did nothing."""


class ProviderSilent(SoukError):
    """No answer came: the provider may or may not have done it. Find out by the key."""


class Verdict(Enum):
    """The provider's outcome of a charge. VOIDED took no money and never will."""

    CHARGED = "charged"
    DECLINED = "declined"
    VOIDED = "voided"
    PROCESSING = "processing"


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """The provider's answer about a charge; `reason` says why it was declined."""

    verdict: Verdict
    reason: str = ""


class RefundVerdict(Enum):
    """The provider's outcome of a refund. PENDING is looked up again later; FAILED moved no money and never will."""

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
    """What may be shown of a card: its brand and last four digits."""

    brand: str
    last4: str


class CardProvider(Protocol):
    """Charges cards and refunds charges: a bank outside the system.

    It keeps keys for ever: a call that is repeated with its key is done once, and gets the answer of the first.
    Every call raises ProviderUnavailable when it certainly did nothing, and ProviderSilent when that is not
    known.
    """

    async def charge(self, key: str, token: str, amount: int, currency: str, customer: str = "") -> ProviderAnswer:
        """Charges a card; `customer` is the paying user, for implementations that distinguish customers."""
        ...

    async def find(self, key: str) -> ProviderAnswer | None:
        """Returns the outcome of a charge; None for an unknown key, though a request may still be on its way."""
        ...

    async def void(self, key: str) -> ProviderAnswer:
        """Blocks a charge that has not happened yet, and returns its final outcome.

        The answer is never PROCESSING. Card networks call this a reversal by reference, or a technical cancel.
        """
        ...

    async def refund(self, key: str, charge_key: str, amount: int) -> RefundVerdict:
        """Refunds an amount of a charge."""
        ...

    async def find_refund(self, key: str) -> RefundVerdict | None:
        """Returns the outcome of a refund; None for an unknown key."""
        ...

    async def charges(self, after: str, limit: int) -> list[ProviderCharge]:
        """Returns a page of the provider's record in order of entry, after the key `after` (empty: from the first)."""
        ...

    def face_of(self, token: str) -> CardFace | None:
        """Returns the brand and last digits behind a token; None when it is not one of the provider's."""
        ...

    async def close(self) -> None:
        """Closes connections and files."""
        ...
