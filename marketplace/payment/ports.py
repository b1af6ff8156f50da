"""What the use cases need of the world, in their own words."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from marketplace.payment.domain import Card, Payment, Refund, Wallet
from souk.kernel.errors import SoukError
from souk.store.database import Transaction


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


class Payments(Protocol):
    """Charges and refunds. What `find` returns stays as it is until the transaction ends."""

    async def insert(self, tx: Transaction, payment: Payment, next_try_at: int | None) -> bool:
        """Records a charge under a new key; False when the key is known, or being recorded by another."""
        ...

    async def find(self, tx: Transaction, payment_id: str) -> Payment | None:
        """A charge by its id, locked."""
        ...

    async def find_by_key(self, tx: Transaction, key: str) -> Payment | None:
        """A charge by its key, locked."""
        ...

    async def update(self, tx: Transaction, payment: Payment, next_try_at: int | None = None) -> None:
        """Records what became of a charge, and when it is due for recovery, if ever."""
        ...

    async def capture(self, tx: Transaction, payment: Payment) -> bool:
        """PENDING to CAPTURED; False when it is not PENDING, or was cancelled, released or tried anew since."""
        ...

    async def get(self, tx: Transaction, payment_id: str, user_id: str) -> Payment | None:
        """A charge of a user's order, to be shown."""
        ...

    async def page(self, tx: Transaction, user_id: str, before: str | None, limit: int) -> list[Payment]:
        """Charges of a user's orders, the newest first, behind the id `before`."""
        ...

    async def standing(self, tx: Transaction, after: str, age: int, limit: int) -> list[Payment]:
        """Charges of orders that are captured, not undone, and older than `age`, by their ids behind `after`."""
        ...

    async def open_top_ups(self, tx: Transaction, user_id: str) -> list[Payment]:
        """Top-ups whose end is not known."""
        ...

    async def spent_from_wallet(self, tx: Transaction, user_id: str) -> int:
        """What may come back to a user's wallet: its charges that are not given back."""
        ...

    async def claim(self, tx: Transaction, now: int, limit: int) -> list[Payment]:
        """Charges that are due; each is put off, longer each time, so that no other replica takes it."""
        ...

    async def insert_refund(self, tx: Transaction, refund: Refund, next_try_at: int | None) -> None:
        """Records a refund under a new key."""
        ...

    async def find_refund(self, tx: Transaction, key: str) -> Refund | None:
        """A refund by its key, locked."""
        ...

    async def update_refund(self, tx: Transaction, refund: Refund, next_try_at: int | None) -> None:
        """Records what the provider says of a refund that is not done, and when it is due, if ever."""
        ...

    async def finish_refund(self, tx: Transaction, refund_id: str) -> bool:
        """Marks a refund as done; False when it was."""
        ...

    async def open_refunds(self, tx: Transaction, payment_id: str) -> list[Refund]:
        """Refunds of a charge that are not done."""
        ...

    async def claim_refunds(self, tx: Transaction, now: int, limit: int) -> list[Refund]:
        """Refunds that are due, put off like charges."""
        ...


@dataclass(frozen=True, slots=True)
class Position:
    """Behind which key of the provider's record, and behind which payment of ours, the comparison goes on."""

    record: str
    ours: str


class Comparison(Protocol):
    """How far the record has been compared. Times are in microseconds; the database's clock judges."""

    async def claim(self, tx: Transaction, interval: int, sweep: int) -> Position | None:
        """The position, for whoever is the first after `interval`; every `sweep` it is the beginning of the record."""
        ...

    async def move(self, tx: Transaction, position: Position) -> None:
        """So far it has come."""
        ...

    async def payment(self, tx: Transaction, payment_id: str, age: int) -> tuple[Payment | None, bool]:
        """A payment, and whether it is older than `age`."""
        ...

    async def captured(self, tx: Transaction, after: str, age: int, limit: int) -> list[Payment]:
        """Charges of cards that are captured and older than `age`, behind an id."""
        ...

    async def failed_refunds(self, tx: Transaction) -> int:
        """Refunds that the provider keeps failing to make."""
        ...


class Ledger(Protocol):
    """Double-entry books: only added to; a transaction's postings sum to zero."""

    async def lock(self, tx: Transaction, user_id: str) -> None:
        """Keeps other top-ups of a user's wallet waiting until the transaction ends."""
        ...

    async def transfer(
        self, tx: Transaction, transaction_id: str, source: str, target: str, payment: Payment, amount: int, now: int
    ) -> None:
        """Moves an amount between two accounts, in the currency of the payment. An id is used once."""
        ...

    async def debit_wallet(self, tx: Transaction, user_id: str, amount: int, currency: str) -> bool:
        """Takes from a wallet if it has that much in that currency."""
        ...

    async def credit_wallet(self, tx: Transaction, user_id: str, amount: int, currency: str) -> None:
        """Adds to a wallet, which has that currency or has never been used."""
        ...

    async def claim_currency(self, tx: Transaction, user_id: str, currency: str) -> Wallet:
        """The wallet, locked, and in that currency if it was never used."""
        ...

    async def wallet(self, tx: Transaction, user_id: str) -> Wallet:
        """The wallet as it is; an empty one for whoever never had any."""
        ...


class Cards(Protocol):
    """Saved cards."""

    async def insert(self, tx: Transaction, card: Card) -> None:
        """Saves a card."""
        ...

    async def find(self, tx: Transaction, card_id: str, user_id: str) -> Card | None:
        """A user's card, forgotten or not."""
        ...

    async def count(self, tx: Transaction, user_id: str) -> int:
        """How many cards a user has that are not forgotten."""
        ...

    async def default(self, tx: Transaction, user_id: str) -> Card | None:
        """The card that "card" means."""
        ...

    async def oldest(self, tx: Transaction, user_id: str) -> Card | None:
        """The card that becomes the default when there is none."""
        ...

    async def set_default(self, tx: Transaction, user_id: str, card_id: str) -> None:
        """Makes a card the default, and every other one not."""
        ...

    async def forget(self, tx: Transaction, card: Card, most: int) -> None:
        """Hides a card from its user; of those that are hidden the `most` that were hidden last are kept."""
        ...

    async def erase(self, tx: Transaction, user_id: str) -> None:
        """Deletes all cards of a user."""
        ...

    async def page(self, tx: Transaction, user_id: str, after: tuple[int, str] | None, limit: int) -> list[Card]:
        """A user's cards: the default (rank 0), then the others (rank 1) by id, behind `after`."""
        ...


class Announcer(Protocol):
    """Tells other services."""

    async def refunded(self, tx: Transaction, payment: Payment, refund: Refund) -> None:
        """Says that money of an order was given back, if the transaction commits."""
        ...
