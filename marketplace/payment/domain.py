"""Payments: how a charge goes, what it is undone by, and where money stands in the ledger.

Amounts are integer minor units; times are microseconds since 1970.
"""

from collections import deque
from dataclasses import dataclass, replace
from enum import Enum

from cachetools import FIFOCache

from souk.sdk import StateMachine

MAX_MONEY = 2**53 - 1
"""Beyond it a JSON number is no longer exact."""
WALLET = "wallet"
BANK = "bank"
"""The house's account of what the card provider holds: below zero by what was taken from cards."""
SALES = "sales"
SUSPENSE = "suspense"
"""Where a top-up that came after its cancellation waits to be given back."""
MOST_REFUSED = 20
"""Refused tries of one customer within REFUSED_SPAN; further ones are refused here, without asking the provider."""
REFUSED_SPAN = 60.0
"""Seconds."""
_MOST_CUSTOMERS = 10_000


class Status(Enum):
    """What became of a charge. BLOCKED was cancelled before anybody asked for it, and is shown to nobody."""

    PENDING = "PENDING"
    CAPTURED = "CAPTURED"
    DECLINED = "DECLINED"
    VOIDED = "VOIDED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    REFUNDED = "REFUNDED"
    BLOCKED = "BLOCKED"


class Event(Enum):
    """What happens to a charge."""

    CAPTURE = "capture"
    DECLINE = "decline"
    VOID = "void"
    RETRY = "retry"
    REFUND_PART = "refund part"
    REFUND_REST = "refund rest"


LIFE = StateMachine(
    "payment",
    Status.PENDING,
    {
        (Status.PENDING, Event.CAPTURE): Status.CAPTURED,
        (Status.PENDING, Event.DECLINE): Status.DECLINED,
        (Status.PENDING, Event.VOID): Status.VOIDED,
        (Status.VOIDED, Event.RETRY): Status.PENDING,  # nothing was charged, and nobody cancelled it
        (Status.VOIDED, Event.CAPTURE): Status.CAPTURED,  # the provider has changed its word: it is given back
        (Status.CAPTURED, Event.REFUND_PART): Status.PARTIALLY_REFUNDED,
        (Status.CAPTURED, Event.REFUND_REST): Status.REFUNDED,
        (Status.PARTIALLY_REFUNDED, Event.REFUND_PART): Status.PARTIALLY_REFUNDED,
        (Status.PARTIALLY_REFUNDED, Event.REFUND_REST): Status.REFUNDED,
    },
)
REFUNDABLE = (Status.CAPTURED, Status.PARTIALLY_REFUNDED)


class Purpose(Enum):
    """What the money is for."""

    ORDER = "order"
    TOP_UP = "top-up"


@dataclass(frozen=True, slots=True)
class Payment:
    """One charge.

    `cancelled` means that it is to leave no trace of money, whatever it still becomes. `promised`
    is what was given back (`refunded`) and what is about to be.

    `attempt` counts how often it was tried anew after the provider had voided it: each attempt is another
    charge to the provider. `released` means that whoever asked knows that nothing was charged, though the
    provider was not there to confirm it. `shared` means that more than one may be asking the provider.
    """

    id: str
    key: str
    purpose: Purpose
    order_id: str
    user_id: str
    amount: int
    currency: str
    source: str
    method: str
    status: Status
    created_at: int
    cancelled: bool = False
    decline_reason: str = ""
    refunded: int = 0
    promised: int = 0
    attempt: int = 0
    released: bool = False
    shared: bool = False

    @property
    def provider_key(self) -> str:
        """The key under which the provider knows this attempt."""
        return attempt_key(self.id, self.attempt)

    @property
    def left(self) -> int:
        """What can still be given back."""
        return self.amount - self.promised

    @property
    def by_wallet(self) -> bool:
        """Whether the wallet paid, and not a card."""
        return self.source == WALLET

    def same_request(self, other: "Payment") -> bool:
        """Whether both ask for the same charge."""
        return _request(self) == _request(other)

    def after(self, event: Event, *, cancelled: bool = False, decline_reason: str = "") -> "Payment":
        """The payment after `event`; raises IllegalTransition."""
        return replace(
            self,
            status=LIFE.next(self.status, event),
            cancelled=self.cancelled or cancelled,
            decline_reason=decline_reason,
        )

    def anew(self) -> "Payment":
        """The payment once a voided or released try is made again; raises IllegalTransition."""
        if self.status is Status.PENDING:  # the provider never had it: the same attempt goes on
            return replace(self, released=False, shared=False)
        return replace(self.after(Event.RETRY), attempt=self.attempt + 1, released=False, shared=False)

    def refund_made(self, amount: int) -> "Payment":
        """The payment once `amount` of what was promised is given back."""
        refunded = self.refunded + amount
        event = Event.REFUND_REST if refunded == self.amount else Event.REFUND_PART
        return replace(self, status=LIFE.next(self.status, event), refunded=refunded)


@dataclass(frozen=True, slots=True)
class Refund:
    """Money to give back. `undo` is the end of a cancelled charge, of which nobody else hears.

    `attempt` counts how often it was asked for anew after the provider had failed to make it; `pending` means
    that the provider has taken it on. `charge_attempt` is the attempt of its payment that was charged.
    """

    id: str
    key: str
    payment_id: str
    amount: int
    reason: str
    undo: bool
    done: bool
    created_at: int
    attempt: int = 0
    pending: bool = False
    charge_attempt: int = 0

    @property
    def provider_key(self) -> str:
        """The key under which the provider knows this attempt."""
        return attempt_key(self.id, self.attempt)

    @property
    def charge_key(self) -> str:
        """The key under which the provider knows the charge."""
        return attempt_key(self.payment_id, self.charge_attempt)


@dataclass(frozen=True, slots=True)
class Card:
    """A saved card; `token` is the provider's name for it."""

    id: str
    user_id: str
    token: str
    brand: str
    last4: str
    is_default: bool
    forgotten: bool
    created_at: int

    @property
    def label(self) -> str:
        """How it is shown, such as "visa 4242"."""
        return f"{self.brand} {self.last4}"


@dataclass(frozen=True, slots=True)
class Wallet:
    """Money that a buyer keeps with the shop; the currency is empty until the first top-up."""

    balance: int
    currency: str


class FailingCards:
    """How often a customer may try cards that the provider refuses to charge: a budget for each, in this process.

    Time is an argument, in seconds that never go back.
    """

    def __init__(self, most: int = MOST_REFUSED, span: float = REFUSED_SPAN) -> None:
        self._most = most
        self._span = span
        self._refused: FIFOCache[str, deque[float]] = FIFOCache(_MOST_CUSTOMERS)

    def note(self, customer: str, now: float) -> None:
        """The provider has refused a try of this customer."""
        times = self._refused.get(customer) or deque(maxlen=self._most)
        times.append(now)
        self._refused[customer] = times  # behind all others: whoever was refused the longest ago is forgotten first

    def wait(self, customer: str, now: float) -> float:
        """Seconds until this customer may try again; 0 for whoever has not used the budget up."""
        times = self._refused.get(customer)
        if times is None or len(times) < self._most:
            return 0.0
        return max(0.0, times[0] + self._span - now)


def attempt_key(name: str, attempt: int) -> str:
    """What an attempt is called at the provider."""
    return f"{name}/{attempt}" if attempt else name


def attempt_of(key: str) -> tuple[str, int]:
    """The name and the attempt of a key at the provider."""
    name, _, attempt = key.partition("/")
    return name, int(attempt) if attempt.isascii() and attempt.isdigit() else 0


def wallet_account(user_id: str) -> str:
    """The ledger account of a user's wallet."""
    return f"wallet/{user_id}"


def paying_account(payment: Payment) -> str:
    """Where the money of a charge comes from, and goes back to."""
    return wallet_account(payment.user_id) if payment.by_wallet else BANK


def receiving_account(payment: Payment) -> str:
    """Where the money of a charge goes to."""
    if payment.purpose is Purpose.ORDER:
        return SALES
    return SUSPENSE if payment.cancelled else wallet_account(payment.user_id)


def _request(payment: Payment) -> tuple[object, ...]:
    return (
        payment.purpose,
        payment.order_id,
        payment.user_id,
        payment.amount,
        payment.currency,
        payment.source,
    )
