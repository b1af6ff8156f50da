"""Payments: the states of a charge, its refunds, and the ledger accounts between which money moves.

Amounts are integer minor units; times are microseconds since 1970.
"""

from collections import deque
from dataclasses import dataclass, replace
from enum import Enum

from cachetools import FIFOCache

from souk.sdk import StateMachine, whole_number

MAX_MONEY = 2**53 - 1
"""The largest integer that a JSON number holds exactly."""
WALLET = "wallet"
BANK = "bank"
"""The ledger account for the card provider: its balance is negative by what was charged to cards."""
SALES = "sales"
SUSPENSE = "suspense"
"""The ledger account for a top-up that was charged after its cancellation, until it is refunded."""
MOST_REFUSED = 20
"""Refused tries of a customer within REFUSED_SPAN; further tries are refused without a call to the provider."""
REFUSED_SPAN = 60.0
"""Seconds within which refused tries count."""
_MOST_CUSTOMERS = 10_000
_MOST_ATTEMPTS = 2**31 - 1


class Status(Enum):
    """The status of a charge. BLOCKED was cancelled before it was requested, and is never shown."""

    PENDING = "PENDING"
    CAPTURED = "CAPTURED"
    DECLINED = "DECLINED"
    VOIDED = "VOIDED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    REFUNDED = "REFUNDED"
    BLOCKED = "BLOCKED"


class Event(Enum):
    """The events of a charge."""

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
        (Status.VOIDED, Event.RETRY): Status.PENDING,  # nothing was charged, and it was not cancelled
        (Status.VOIDED, Event.CAPTURE): Status.CAPTURED,  # the provider did charge after all: it is refunded
        (Status.CAPTURED, Event.REFUND_PART): Status.PARTIALLY_REFUNDED,
        (Status.CAPTURED, Event.REFUND_REST): Status.REFUNDED,
        (Status.PARTIALLY_REFUNDED, Event.REFUND_PART): Status.PARTIALLY_REFUNDED,
        (Status.PARTIALLY_REFUNDED, Event.REFUND_REST): Status.REFUNDED,
    },
)
REFUNDABLE = (Status.CAPTURED, Status.PARTIALLY_REFUNDED)


class Purpose(Enum):
    """The purpose of a charge."""

    ORDER = "order"
    TOP_UP = "top-up"


@dataclass(frozen=True, slots=True)
class Payment:
    """One charge.

    `cancelled` means that it must end without any money taken, whatever the provider still does. `promised` is
    the amount already refunded (`refunded`) plus the amount still to be refunded.

    `attempt` counts how often it was tried again after the provider had voided it: to the provider each attempt
    is another charge. `released` means that the client was told that nothing was charged, although the provider
    could not confirm it. `shared` means that more than one request may be calling the provider for it.
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
        """The provider's key of this attempt."""
        return attempt_key(self.id, self.attempt)

    @property
    def left(self) -> int:
        """The amount that can still be refunded."""
        return self.amount - self.promised

    @property
    def by_wallet(self) -> bool:
        """Whether the wallet pays, and not a card."""
        return self.source == WALLET

    def same_request(self, other: "Payment") -> bool:
        """Tells whether both are requests for the same charge."""
        return _request(self) == _request(other)

    def after(self, event: Event, *, cancelled: bool = False, decline_reason: str = "") -> "Payment":
        """Returns the payment after `event`; raises IllegalTransition."""
        return replace(
            self,
            status=LIFE.next(self.status, event),
            cancelled=self.cancelled or cancelled,
            decline_reason=decline_reason,
        )

    def anew(self) -> "Payment":
        """Returns the payment when a voided or released charge is tried again; raises IllegalTransition."""
        if self.status is Status.PENDING:  # the provider has not voided it: the same attempt goes on
            return replace(self, released=False, shared=False)
        return replace(self.after(Event.RETRY), attempt=self.attempt + 1, released=False, shared=False)

    def refund_made(self, amount: int) -> "Payment":
        """Returns the payment after a promised refund of `amount` was made."""
        refunded = self.refunded + amount
        event = Event.REFUND_REST if refunded == self.amount else Event.REFUND_PART
        return replace(self, status=LIFE.next(self.status, event), refunded=refunded)


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund. `undo` marks the refund of a cancelled charge, for which no event is published.

    `attempt` counts how often it was requested again after the provider failed to make it; `pending` means that
    the provider has accepted it. `charge_attempt` is the attempt of its payment that was charged.
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
        """The provider's key of this attempt."""
        return attempt_key(self.id, self.attempt)

    @property
    def charge_key(self) -> str:
        """The provider's key of the charge."""
        return attempt_key(self.payment_id, self.charge_attempt)


@dataclass(frozen=True, slots=True)
class Card:
    """A saved card; `token` is the provider's token for it."""

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
        """The text that is shown for the card, such as "visa 4242"."""
        return f"{self.brand} {self.last4}"


@dataclass(frozen=True, slots=True)
class Wallet:
    """The balance of a buyer's wallet, in minor units; the currency is empty until the first top-up."""

    balance: int
    currency: str


class FailingCards:
    """Limits how often a customer may try cards that the provider refuses to charge, with a budget for each customer.

    The budgets are of this process; they are not shared between replicas.
    Times are arguments, in monotonic seconds.
    """

    def __init__(self, most: int = MOST_REFUSED, span: float = REFUSED_SPAN) -> None:
        self._most = most
        self._span = span
        self._refused: FIFOCache[str, deque[float]] = FIFOCache(_MOST_CUSTOMERS)

    def note(self, customer: str, now: float) -> None:
        """Notes that the provider refused a try of this customer."""
        times = self._refused.get(customer) or deque(maxlen=self._most)
        times.append(now)
        self._refused[customer] = times  # moved to the end: the customer without a refusal for longest is evicted first

    def wait(self, customer: str, now: float) -> float:
        """Returns the seconds until this customer may try again; 0 while the budget is not used up."""
        times = self._refused.get(customer)
        if times is None or len(times) < self._most:
            return 0.0
        return max(0.0, times[0] + self._span - now)


def attempt_key(name: str, attempt: int) -> str:
    """Makes the provider's key of an attempt at a charge or refund."""
    return f"{name}/{attempt}" if attempt else name


def attempt_of(key: str) -> tuple[str, int]:
    """Returns the id and the attempt of a provider's key."""
    name, _, attempt = key.partition("/")
    return name, whole_number(attempt, _MOST_ATTEMPTS) or 0


def wallet_account(user_id: str) -> str:
    """Returns the ledger account of a user's wallet."""
    return f"wallet/{user_id}"


def paying_account(payment: Payment) -> str:
    """Returns the ledger account that a charge debits and a refund credits."""
    return wallet_account(payment.user_id) if payment.by_wallet else BANK


def receiving_account(payment: Payment) -> str:
    """Returns the ledger account that a charge credits."""
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
