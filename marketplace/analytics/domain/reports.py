"""What is read of the figures: revenue, top products and conversion."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import reduce

from marketplace.analytics.domain.facts import Figure, Measure, Tally
from souk.sdk import DomainError, InvalidArgument, Violation

MOST_DAYS = 366
"""The most days that a range can have."""
LARGEST_SUM = 2**53 - 1
"""The largest integer that every client reads exactly from a JSON number."""


@dataclass(frozen=True, slots=True)
class Days:
    """A range of days; both ends belong to it."""

    first: date
    last: date


def days_of(first: str, last: str) -> Days:
    """Reads a range; raises InvalidArgument for what is no date, for an end before its beginning, and a long range."""
    wrong = [
        Violation(name, "is not a date that exists")
        for name, text in (("from", first), ("to", last))
        if not _date(text)
    ]
    begin, end = _date(first), _date(last)
    if begin is None or end is None:
        raise InvalidArgument(wrong)
    if end < begin:
        raise InvalidArgument([Violation("to", "must not be before `from`")])
    if (end - begin).days >= MOST_DAYS:
        raise InvalidArgument([Violation("to", f"must be at most {MOST_DAYS - 1} days after `from`")])
    return Days(begin, end)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Counted:
    """A figure that was read, with what all facts added to it."""

    figure: Figure
    tally: Tally


@dataclass(frozen=True, slots=True)
class Sales:
    """What was sold and refunded of one currency, in minor units."""

    orders: int = 0
    gross: int = 0
    refunds: int = 0
    refunded: int = 0

    @property
    def net(self) -> int:
        """Gross less refunded; below zero when more was refunded than sold."""
        return self.gross - self.refunded

    def __add__(self, other: "Sales") -> "Sales":
        return Sales(
            self.orders + other.orders,
            self.gross + other.gross,
            self.refunds + other.refunds,
            self.refunded + other.refunded,
        )


SalesByDay = Mapping[str, Sales]


def sales_by_currency(counted: Iterable[Counted]) -> Mapping[str, SalesByDay]:
    """Returns the sales of each currency by day, as figures of SALES and REFUNDS have them.

    Raises SUM_TOO_LARGE for a currency whose sums JSON cannot hold exactly.
    """
    found: dict[str, dict[str, Sales]] = {}
    for one in counted:
        days, tally = found.setdefault(one.figure.currency, {}), one.tally
        is_sale = one.figure.measure is Measure.SALES
        sales = Sales(orders=tally.count, gross=tally.amount) if is_sale else Sales(0, 0, tally.count, tally.amount)
        days[one.figure.day] = days.get(one.figure.day, Sales()) + sales
    for days in found.values():
        total = total_sales(days)
        require_exact(total.gross, total.refunded)
    return found


def total_sales(days: SalesByDay) -> Sales:
    """Returns the sum of all days."""
    return reduce(Sales.__add__, days.values(), Sales())


class Ranking(StrEnum):
    """What decides which product comes first."""

    REVENUE = "-revenue"
    UNITS = "-units"


@dataclass(frozen=True, slots=True)
class SoldProduct:
    """What was sold of a product in one currency; `revenue` is in minor units."""

    product_id: str
    currency: str
    units: int
    revenue: int


def products_by_currency(sold: Iterable[SoldProduct]) -> Mapping[str, Sequence[SoldProduct]]:
    """Returns the products of each currency, in the order given; raises SUM_TOO_LARGE."""
    found: dict[str, list[SoldProduct]] = {}
    for product in sold:
        require_exact(product.units, product.revenue)
        found.setdefault(product.currency, []).append(product)
    return found


@dataclass(slots=True)
class Outcomes:
    """How many orders ended how; those that were rejected for good by reason."""

    confirmed: int = 0
    cancelled: int = 0
    rejections: dict[str, int] = field(default_factory=dict)

    @property
    def rejected(self) -> int:
        """How many were rejected for good."""
        return sum(self.rejections.values())

    @property
    def rate(self) -> float | None:
        """The share of the confirmed ones in those that were decided; None when none was."""
        decided = self.confirmed + self.rejected
        return self.confirmed / decided if decided else None

    def count(self, one: Counted) -> None:
        """Adds a figure of CONFIRMED, REJECTED or CANCELLED."""
        match one.figure.measure:
            case Measure.CONFIRMED:
                self.confirmed += one.tally.count
            case Measure.CANCELLED:
                self.cancelled += one.tally.count
            case _:
                reason = one.figure.subject
                self.rejections[reason] = self.rejections.get(reason, 0) + one.tally.count


def outcomes_by_day(counted: Iterable[Counted]) -> tuple[Outcomes, Mapping[str, Outcomes]]:
    """Returns how orders ended: all of them, and by the day on which they were placed."""
    total, days = Outcomes(), dict[str, Outcomes]()
    for one in counted:
        total.count(one)
        days.setdefault(one.figure.day, Outcomes()).count(one)
    return total, days


def require_exact(*sums: int) -> None:
    """Raises SUM_TOO_LARGE when a sum is one that JSON cannot hold exactly."""
    if max(sums) > LARGEST_SUM:
        raise DomainError("SUM_TOO_LARGE", f"a sum is beyond {LARGEST_SUM}: ask for a shorter range of days")
