"""What an event means for the figures. No I/O.

A fact is what one event of an order says, told apart by its order and kind (and a refund by the sum that it makes). It
adds to some figures; each figure is the sum of what all facts add to it:

measure      day (UTC)      subject    count                        amount
sales        confirmed      -          orders                       their totals
refunds      recorded       -          refunds                      what they gave back
products     confirmed      product    pieces                       price times quantity
confirmed    placed         -          orders                       -
rejected     placed         reason     orders rejected for good     -
cancelled    placed         -          confirmed orders, cancelled  -

No fact depends on another, and sums do not depend on an order: so late and reordered events lead to the same figures,
and an event that comes again is a fact that is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from zlib import crc32

from souk.sdk import to_datetime

SLOTS = 16
"""Each figure is kept as the sum of so many rows, so that orders that are counted at once do not wait for one row."""


class Measure(StrEnum):
    """What a figure counts; the module's docstring has the table."""

    SALES = "sales"
    REFUNDS = "refunds"
    PRODUCTS = "products"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, order=True)
class Figure:
    """One figure: a measure of a day. `currency` is "" where no money is counted, and `subject` where there is none."""

    measure: Measure
    day: str
    currency: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """What a fact adds to a figure; `amount` is in minor units."""

    count: int
    amount: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.count + other.count, self.amount + other.amount)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order; `price` is that of one piece, in minor units."""

    product_id: str
    quantity: int
    price: int


@dataclass(frozen=True, slots=True)
class Confirmed:
    """An order was confirmed."""

    order_id: str
    time: int
    placed_at: int
    currency: str
    total: int
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """An order was rejected for good."""

    order_id: str
    time: int
    placed_at: int
    reason: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A confirmed order was cancelled."""

    order_id: str
    time: int
    placed_at: int


@dataclass(frozen=True, slots=True)
class Refunded:
    """Money of a confirmed order was given back: `amount` by this refund, `refunded_total` by all so far."""

    order_id: str
    time: int
    currency: str
    amount: int
    refunded_total: int


Fact = Confirmed | Rejected | Cancelled | Refunded
"""What an event says. Times are in microseconds since 1970, money is in minor units."""


@dataclass(frozen=True, slots=True)
class FactKey:
    """What tells a fact from all others: `number` is 0, or the sum that a refund makes."""

    order_id: str
    kind: str
    number: int


def key_of(fact: Fact) -> FactKey:
    """Returns the key of a fact; every delivery of one event gives the same."""
    number = fact.refunded_total if isinstance(fact, Refunded) else 0
    return FactKey(fact.order_id, kind_of(type(fact)), number)


def amount_of(fact: Fact) -> int:
    """Returns what an order that was confirmed costs, or a refund gave back; 0 for other facts."""
    match fact:
        case Confirmed():
            return fact.total
        case Refunded():
            return fact.amount
        case _:
            return 0


def kind_of(fact: type[Fact]) -> str:
    """Returns the name of a kind of facts, such as "confirmed"."""
    return fact.__name__.lower()


def tallies(fact: Fact) -> Mapping[Figure, Tally]:
    """Returns what a fact adds to which figures."""
    match fact:
        case Confirmed():
            return _of_confirmed(fact)
        case Rejected():
            return {Figure(Measure.REJECTED, day_of(fact.placed_at), subject=fact.reason): Tally(1)}
        case Cancelled():
            return {Figure(Measure.CANCELLED, day_of(fact.placed_at)): Tally(1)}
        case Refunded():
            return {Figure(Measure.REFUNDS, day_of(fact.time), fact.currency): Tally(1, fact.amount)}


def _of_confirmed(fact: Confirmed) -> Mapping[Figure, Tally]:
    day = day_of(fact.time)
    found = {
        Figure(Measure.SALES, day, fact.currency): Tally(1, fact.total),
        Figure(Measure.CONFIRMED, day_of(fact.placed_at)): Tally(1),
    }
    for line in fact.lines:  # of each product there is one line at most
        product = Figure(Measure.PRODUCTS, day, fact.currency, line.product_id)
        found[product] = Tally(line.quantity, line.quantity * line.price)
    return found


def slot_of(order_id: str) -> int:
    """Returns which of the rows of a figure an order is counted in."""
    return crc32(order_id.encode()) % SLOTS


def day_of(time: int) -> str:
    """Returns the date in UTC of a time in microseconds since 1970, such as "2026-11-29"."""
    return to_datetime(time).date().isoformat()
