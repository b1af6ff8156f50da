"""Compare Payment's book with the provider's own record, by key, and correct differences.

It is the second safeguard, behind the rule that a request is retried or undone until its outcome is known. Each
run compares what is new in the record; once a day the whole record is compared. A charge under way is left alone:
its intent is recorded before the provider is called, and a PENDING charge is compared only once it is older than
AGE by the database's clock.

A difference is stored and counted when it is first found, whatever replica finds it again. It is open until it is
corrected here or no longer found: a missing charge is looked for at every run, all others by the daily comparison.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping
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
"""Entries of the record on one page."""
AGE = 60 * MICROSECONDS
"""Microseconds that a charge may be under way before it is compared."""
SWEEP = 24 * 3_600 * MICROSECONDS
"""Microseconds between two comparisons of the whole record."""
_REMEMBERED = 10_000
_CAPTURED = (*REFUNDABLE, Status.REFUNDED)

_log = logging.getLogger(__name__)


class Difference(Enum):
    """A difference between the provider's record and the book."""

    UNKNOWN = "unknown"
    """Charged, but there is no such payment: it is refunded."""
    VOID = "void"
    """Charged, but the book says that it was not: it is refunded."""
    UNDECIDED = "undecided"
    """Charged, but still PENDING in the book: the charge is recorded."""
    AMOUNT = "amount"
    """Charged with another amount or in another currency."""
    REFUNDED = "refunded"
    """Refunded with another amount."""
    MISSING = "missing"
    """Captured in the book, but not charged."""


Found = Callable[[Difference], None]


@dataclass(slots=True)
class Memory:
    """What this process keeps between runs: keys that it compared recently, and what it counted in the last run.

    These are the refunds that keep failing, and the open differences by kind.
    """

    recent: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    failed_refunds: int = 0
    open_differences: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReconcileProvider:
    """Compare at most once in `interval`, in microseconds; `found` is called for each new difference.

    With `report_only` nothing is refunded. The caller passes dependencies whose provider has the background breaker.
    """

    found: Found
    interval: int
    report_only: bool = False
    memory: Memory = field(default_factory=Memory)


async def reconcile_provider(deps: Deps, command: ReconcileProvider) -> None:
    """Compares what is new, unless another replica has just done so; after a failed call it goes on at the next run."""
    position = await deps.run(lambda tx: deps.comparison.claim(tx, command.interval, SWEEP))
    if position is not None:
        try:
            position = await _follow_the_record(deps, command, position)
            await _follow_the_book(deps, command, position)
            await _find_missing_charges(deps, command)
        except PROVIDER_TROUBLE as error:
            _log.warning("the card provider's record cannot be compared now: %s", error)
    command.memory.failed_refunds = await deps.database.read(deps.comparison.failed_refunds, single=True)
    command.memory.open_differences = await deps.database.read(deps.differences.count_open, single=True)


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
            await deps.run(lambda tx: deps.differences.close_unseen(tx, Difference.MISSING.value))
            return position


async def _follow_the_book(deps: Deps, command: ReconcileProvider, position: Position) -> None:
    """Checks that captured payments are in the record; those that were not met there are looked up by their key."""
    payments = await deps.database.read(
        lambda tx: deps.comparison.captured(tx, position.ours, 2 * AGE, AT_ONCE * 10), single=True
    )
    recent = set(command.memory.recent)
    for payment in payments:
        if payment.provider_key not in recent:
            await _find_charge(deps, command, payment.provider_key)
    if payments:
        await _move(deps, replace(position, ours=payments[-1].id))


async def _find_missing_charges(deps: Deps, command: ReconcileProvider) -> None:
    keys = await deps.database.read(
        lambda tx: deps.differences.open_keys(tx, Difference.MISSING.value, AT_ONCE), single=True
    )
    for key in keys:
        await _find_charge(deps, command, key)


async def _find_charge(deps: Deps, command: ReconcileProvider, key: str) -> None:
    answer = await deps.provider.find(key)
    if answer is None or answer.verdict is not Verdict.CHARGED:
        await _differs(deps, command, Difference.MISSING, key)
    else:
        await _corrected(deps, key)


async def _move(deps: Deps, position: Position) -> None:
    await deps.run(lambda tx: deps.comparison.move(tx, position))


async def _compare(deps: Deps, command: ReconcileProvider, charge: ProviderCharge, before: str) -> bool:
    """Compares the entry of the record after the key `before`; returns False when it is too early for that."""
    name, attempt = attempt_of(charge.key)
    payment, ripe = await deps.database.read(lambda tx: deps.comparison.payment(tx, name, AGE), single=True)
    current = payment is not None and payment.attempt == attempt
    if payment is not None and current and payment.status is Status.PENDING and not ripe:
        return False
    if charge.verdict is not Verdict.CHARGED:
        if payment is not None and current and payment.status in _CAPTURED:
            await _differs(deps, command, Difference.MISSING, charge.key)
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
    """Records a charge that is PENDING or VOIDED in the book; one that was VOIDED is refunded."""
    key, difference = payment.provider_key, Difference.UNDECIDED
    await _differs(deps, command, Difference.VOID if payment.status is Status.VOIDED else difference, key)
    if command.report_only:
        return
    if payment.status is Status.VOIDED:
        charged = ProviderAnswer(Verdict.CHARGED)
        payment = await deps.run(lambda tx: record_answer(deps, tx, payment, charged))
    await settle_payment(deps, payment)
    await _corrected(deps, key)


async def _give_back(deps: Deps, command: ReconcileProvider, charge: ProviderCharge, difference: Difference) -> None:
    """Refunds a charge directly at the provider, because the book has no payment to record the refund with."""
    left = charge.amount - charge.refunded
    if left <= 0:
        return
    await _differs(deps, command, difference, charge.key)
    if command.report_only:
        return
    verdict = await deps.provider.refund(f"reconcile/{charge.key}", charge.key, left)
    if verdict is RefundVerdict.MADE:
        await _corrected(deps, charge.key)
    else:
        _log.error("the card provider has not given back charge %s: %s", charge.key, verdict.value)


async def _compare_amounts(
    deps: Deps, command: ReconcileProvider, charge: ProviderCharge, payment: Payment, before: str
) -> None:
    if (charge.amount, charge.currency) != (payment.amount, payment.currency):
        await _differs(deps, command, Difference.AMOUNT, charge.key)
    elif charge.refunded > payment.promised:
        await _differs(deps, command, Difference.REFUNDED, charge.key)
    elif charge.refunded < payment.refunded:
        # The book was read after the page, and may be newer.
        page = await deps.provider.charges(before, 1)
        if any(one.key == charge.key and one.refunded < payment.refunded for one in page):
            await _differs(deps, command, Difference.REFUNDED, charge.key)


async def _differs(deps: Deps, command: ReconcileProvider, difference: Difference, key: str) -> None:
    if await deps.run(lambda tx: deps.differences.found(tx, key, difference.value)):
        command.found(difference)
        _log.warning("the card provider's record differs from the book: %s, charge %s", difference.value, key)


async def _corrected(deps: Deps, key: str) -> None:
    await deps.run(lambda tx: deps.differences.close(tx, key))
