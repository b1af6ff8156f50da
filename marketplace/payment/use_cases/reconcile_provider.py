"""Compare this book with the provider's own record, by key, and make good what differs.

It is the second line behind what the clients know of their requests. The record is followed to its end, and
gone through from its beginning once a day. What is under way is left alone: its intent is recorded before the
provider is asked, and a charge that is PENDING is compared once it has had its time by the database's clock.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

from marketplace.payment.deps import Deps
from marketplace.payment.domain import REFUNDABLE, Payment, Status, attempt_of
from marketplace.payment.ports import ProviderAnswer, ProviderCharge, RefundVerdict, Verdict
from marketplace.payment.store.comparison import Position
from marketplace.payment.use_cases.record_outcome import record_answer
from marketplace.payment.use_cases.settle_payment import PROVIDER_TROUBLE, settle_payment
from souk.sdk import MICROSECONDS

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


@dataclass(slots=True)
class Memory:
    """What this process knows of earlier looks: keys that it compared lately, and refunds that keep failing."""

    recent: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    failed_refunds: int = 0


@dataclass(frozen=True, slots=True)
class ReconcileProvider:
    """Look no more often than each `interval`, in microseconds; `found` counts each difference.

    With `report_only` nothing is given back. Whoever calls asks the provider in the background.
    """

    found: Found
    interval: int
    report_only: bool = False
    memory: Memory = field(default_factory=Memory)


async def reconcile_provider(deps: Deps, command: ReconcileProvider) -> None:
    """Compares what is new, if no other replica has just done so; what fails is done at the next look."""
    position = await deps.run(lambda tx: deps.comparison.claim(tx, command.interval, SWEEP))
    command.memory.failed_refunds = await deps.database.read(deps.comparison.failed_refunds, single=True)
    if position is None:
        return
    try:
        position = await _follow_the_record(deps, command, position)
        await _follow_the_book(deps, command, position)
    except PROVIDER_TROUBLE as error:
        _log.warning("the card provider's record cannot be compared now: %s", error)


async def _follow_the_record(deps: Deps, command: ReconcileProvider, position: Position) -> Position:
    while True:
        page = await deps.provider.charges(position.record, AT_ONCE)
        for charge in page:
            if not await _compare(deps, command, charge, position.record):
                return position
            command.memory.recent.append(charge.key)
            position = Position(charge.key, position.ours)
        await _move(deps, position)
        if len(page) < AT_ONCE:
            return position


async def _follow_the_book(deps: Deps, command: ReconcileProvider, position: Position) -> None:
    """What is captured must be in the record; what was not seen there is asked for by its key."""
    payments = await deps.database.read(
        lambda tx: deps.comparison.captured(tx, position.ours, 2 * AGE, AT_ONCE * 10), single=True
    )
    recent = set(command.memory.recent)
    for payment in payments:
        if payment.provider_key not in recent:
            answer = await deps.provider.find(payment.provider_key)
            if answer is None or answer.verdict is not Verdict.CHARGED:
                _differs(command, Difference.MISSING, payment.provider_key)
    if payments:
        await _move(deps, replace(position, ours=payments[-1].id))


async def _move(deps: Deps, position: Position) -> None:
    await deps.run(lambda tx: deps.comparison.move(tx, position))


async def _compare(deps: Deps, command: ReconcileProvider, charge: ProviderCharge, before: str) -> bool:
    """Compares the entry of the record behind the key `before`; false when it is too early for that."""
    name, attempt = attempt_of(charge.key)
    payment, ripe = await deps.database.read(lambda tx: deps.comparison.payment(tx, name, AGE), single=True)
    current = payment is not None and payment.attempt == attempt
    if payment is not None and current and payment.status is Status.PENDING and not ripe:
        return False
    if charge.verdict is not Verdict.CHARGED:
        if payment is not None and current and payment.status in _CAPTURED:
            _differs(command, Difference.MISSING, charge.key)
    elif payment is None:
        await _give_back(deps, command, charge, Difference.UNKNOWN)
    elif not current or payment.status in (Status.DECLINED, Status.BLOCKED):
        await _give_back(deps, command, charge, Difference.VOID)
    elif payment.status in (Status.PENDING, Status.VOIDED):
        await _catch_up(deps, command, payment)
    else:
        await _compare_amounts(deps, command, charge, payment, before)
    return True


async def _catch_up(deps: Deps, command: ReconcileProvider, payment: Payment) -> None:
    """Records a charge that the book does not know of; one that was called void is given back."""
    _differs(
        command, Difference.VOID if payment.status is Status.VOIDED else Difference.UNDECIDED, payment.provider_key
    )
    if command.report_only:
        return
    if payment.status is Status.VOIDED:
        charged = ProviderAnswer(Verdict.CHARGED)
        payment = await deps.run(lambda tx: record_answer(deps, tx, payment, charged))
    await settle_payment(deps, payment)


async def _give_back(deps: Deps, command: ReconcileProvider, charge: ProviderCharge, difference: Difference) -> None:
    """Gives back what no payment of ours can: the book has nothing to be entered into."""
    left = charge.amount - charge.refunded
    if left <= 0:
        return
    _differs(command, difference, charge.key)
    if command.report_only:
        return
    verdict = await deps.provider.refund(f"reconcile/{charge.key}", charge.key, left)
    if verdict is not RefundVerdict.MADE:
        _log.error("the card provider has not given back charge %s: %s", charge.key, verdict.value)


async def _compare_amounts(
    deps: Deps, command: ReconcileProvider, charge: ProviderCharge, payment: Payment, before: str
) -> None:
    if (charge.amount, charge.currency) != (payment.amount, payment.currency):
        _differs(command, Difference.AMOUNT, charge.key)
    elif charge.refunded > payment.promised:
        _differs(command, Difference.REFUNDED, charge.key)
    elif charge.refunded < payment.refunded:
        # The book was read after the page, and may be newer.
        page = await deps.provider.charges(before, 1)
        if any(one.key == charge.key and one.refunded < payment.refunded for one in page):
            _differs(command, Difference.REFUNDED, charge.key)


def _differs(command: ReconcileProvider, difference: Difference, key: str) -> None:
    command.found(difference)
    _log.warning("the card provider's record differs from the book: %s, charge %s", difference.value, key)
