"""Compare this book with the provider's own record, by key, and make good what differs.

It is the second line behind what the clients know of their requests. The record is followed to its end, and
gone through from its beginning once a day. What is under way is left alone: its intent is recorded before the
provider is asked, and a charge that is PENDING is compared once it has had its time by the database's clock.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from marketplace.payment.office import Office
from marketplace.payment.use_cases.recording import record_answer
from marketplace.payment.use_cases.settle import PROVIDER_TROUBLE, settle

from marketplace.payment.domain import REFUNDABLE, Payment, Status, attempt_of
from marketplace.payment.ports import Comparison, Position, ProviderAnswer, ProviderCharge, RefundVerdict, Verdict
from souk.kernel.clock import MICROSECONDS

AT_ONCE = 100
"""Entries of the record that are asked for at once."""
AGE = 60 * MICROSECONDS
"""How long a charge may be under way before it is compared."""
SWEEP = 24 * 3_600 * MICROSECONDS
"""How often the whole record is gone through."""
_REMEMBERED = 10_000
_CAPTURED = (*REFUNDABLE, Status.REFUNDED)

_log = logging.getLogger(__name__)


class Difference(Enum):
    """What the record says, and the book does not."""

    UNKNOWN = "unknown"
    """Charged, and no payment of ours: it is given back."""
    VOID = "void"
    """Charged, and the book says that it was not: it is given back."""
    UNDECIDED = "undecided"
    """Charged, and the book has not known it for long: it is recorded."""
    AMOUNT = "amount"
    """Charged, but not as much, or in another currency."""
    REFUNDED = "refunded"
    """Given back, but not as much."""
    MISSING = "missing"
    """Captured in the book, and not charged."""


Found = Callable[[Difference], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """How often it looks, in microseconds, and whether it only reports instead of giving back."""

    interval: int
    report_only: bool = False


class ReconcileProvider:
    """`found` counts each difference. `office` asks the provider in the background."""

    def __init__(self, office: Office, book: Comparison, pace: Pace, found: Found) -> None:
        self._office = office
        self._pace = pace
        self._found = found
        self._book = book
        self._recent: deque[str] = deque(maxlen=_REMEMBERED)
        self.failed_refunds = 0

    async def look(self) -> None:
        """Compares what is new, if no other replica has just done so; what fails is done at the next look."""
        position = await self._office.run(lambda tx: self._book.claim(tx, self._pace.interval, SWEEP))
        self.failed_refunds = await self._office.database.read(self._book.failed_refunds, single=True)
        if position is None:
            return
        try:
            position = await self._follow_the_record(position)
            await self._follow_the_book(position)
        except PROVIDER_TROUBLE as error:
            _log.warning("the card provider's record cannot be compared now: %s", error)

    async def _follow_the_record(self, position: Position) -> Position:
        while True:
            page = await self._office.provider.charges(position.record, AT_ONCE)
            for charge in page:
                if not await self._compare(charge, position.record):
                    return position
                self._recent.append(charge.key)
                position = Position(charge.key, position.ours)
            await self._move(position)
            if len(page) < AT_ONCE:
                return position

    async def _follow_the_book(self, position: Position) -> None:
        """What is captured must be in the record; what was not seen there is asked for by its key."""
        payments = await self._office.database.read(
            lambda tx: self._book.captured(tx, position.ours, 2 * AGE, AT_ONCE * 10), single=True
        )
        recent = set(self._recent)
        for payment in payments:
            if payment.provider_key not in recent:
                answer = await self._office.provider.find(payment.provider_key)
                if answer is None or answer.verdict is not Verdict.CHARGED:
                    self._differs(Difference.MISSING, payment.provider_key)
        if payments:
            await self._move(replace(position, ours=payments[-1].id))

    async def _move(self, position: Position) -> None:
        await self._office.run(lambda tx: self._book.move(tx, position))

    async def _compare(self, charge: ProviderCharge, before: str) -> bool:
        """Compares the entry of the record behind the key `before`; false when it is too early for that."""
        name, attempt = attempt_of(charge.key)
        payment, ripe = await self._office.database.read(lambda tx: self._book.payment(tx, name, AGE), single=True)
        current = payment is not None and payment.attempt == attempt
        if payment is not None and current and payment.status is Status.PENDING and not ripe:
            return False
        if charge.verdict is not Verdict.CHARGED:
            if payment is not None and current and payment.status in _CAPTURED:
                self._differs(Difference.MISSING, charge.key)
        elif payment is None:
            await self._give_back(charge, Difference.UNKNOWN)
        elif not current or payment.status in (Status.DECLINED, Status.BLOCKED):
            await self._give_back(charge, Difference.VOID)
        elif payment.status in (Status.PENDING, Status.VOIDED):
            await self._catch_up(payment)
        else:
            await self._compare_amounts(charge, payment, before)
        return True

    async def _catch_up(self, payment: Payment) -> None:
        """Records a charge that the book does not know of; one that was called void is given back."""
        self._differs(
            Difference.VOID if payment.status is Status.VOIDED else Difference.UNDECIDED, payment.provider_key
        )
        if self._pace.report_only:
            return
        if payment.status is Status.VOIDED:
            charged = ProviderAnswer(Verdict.CHARGED)
            payment = await self._office.run(lambda tx: record_answer(tx, self._office, payment, charged))
        await settle(payment, self._office)

    async def _give_back(self, charge: ProviderCharge, difference: Difference) -> None:
        """Gives back what no payment of ours can: the book has nothing to be entered into."""
        left = charge.amount - charge.refunded
        if left <= 0:
            return
        self._differs(difference, charge.key)
        if self._pace.report_only:
            return
        verdict = await self._office.provider.refund(f"reconcile/{charge.key}", charge.key, left)
        if verdict is not RefundVerdict.MADE:
            _log.error("the card provider has not given back charge %s: %s", charge.key, verdict.value)

    async def _compare_amounts(self, charge: ProviderCharge, payment: Payment, before: str) -> None:
        if (charge.amount, charge.currency) != (payment.amount, payment.currency):
            self._differs(Difference.AMOUNT, charge.key)
        elif charge.refunded > payment.promised:
            self._differs(Difference.REFUNDED, charge.key)
        elif charge.refunded < payment.refunded:
            # The book was read after the page, and may be newer.
            page = await self._office.provider.charges(before, 1)
            if any(one.key == charge.key and one.refunded < payment.refunded for one in page):
                self._differs(Difference.REFUNDED, charge.key)

    def _differs(self, difference: Difference, key: str) -> None:
        self._found(difference)
        _log.warning("the card provider's record differs from the book: %s, charge %s", difference.value, key)
