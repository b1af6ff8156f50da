"""Undo a charge for good: void it, refund it, or block its key before it began.

The answer comes once the undo is durable; recovery does what is left to do, without further requests. No event
is published for the refund: the order was never confirmed, and has no refunded total to update.
"""

from dataclasses import dataclass, replace

from marketplace.payment.deps import Deps
from marketplace.payment.domain import REFUNDABLE, Payment, Purpose, Status
from marketplace.payment.use_cases.record_outcome import undo
from marketplace.payment.use_cases.settle_payment import PROVIDER_TROUBLE, settle_payment
from souk.sdk import Transaction, new_id


@dataclass(frozen=True, slots=True)
class CancelCharge:
    """Undo the charge of a key."""

    key: str
    order_id: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The status of the charge so far (None: there never was one), and whether nothing is left to do."""

    status: Status | None
    settled: bool


async def cancel_charge(deps: Deps, command: CancelCharge) -> Cancelled:
    """Undoes the charge and returns how far that is. It may be called any number of times."""
    payment = await deps.run(lambda tx: _cancel(deps, tx, command))
    deps.faults.point("payment.cancel.recorded")
    if not _settled(payment) and not deps.locks.of(command.key).locked():
        payment = await _try_to_settle(deps, payment)
    return Cancelled(None if payment.status is Status.BLOCKED else payment.status, _settled(payment))


async def _cancel(deps: Deps, tx: Transaction, command: CancelCharge) -> Payment:
    tombstone = _tombstone(deps, command)
    if await deps.payments.insert(tx, tombstone, None):
        return tombstone
    found = await deps.payments.find_by_key(tx, command.key)
    assert found is not None, "a key that could not be inserted is there"
    if found.cancelled or found.status in (Status.DECLINED, Status.BLOCKED, Status.REFUNDED):
        return found
    cancelled = replace(found, cancelled=True)
    due = deps.recovery_time() if found.status is Status.PENDING else None
    await deps.payments.update(tx, cancelled, due)
    return await undo(deps, tx, cancelled)


async def _try_to_settle(deps: Deps, payment: Payment) -> Payment:
    try:
        return await settle_payment(deps, payment)
    except PROVIDER_TROUBLE:
        return payment


def _settled(payment: Payment) -> bool:
    if payment.status in REFUNDABLE:
        return False
    return payment.status is not Status.PENDING


def _tombstone(deps: Deps, command: CancelCharge) -> Payment:
    return Payment(
        id=new_id("PAY", deps.clock),
        key=command.key,
        purpose=Purpose.ORDER,
        order_id=command.order_id,
        user_id="",
        amount=0,
        currency="",
        source="",
        method="",
        status=Status.BLOCKED,
        created_at=deps.clock.now(),
        cancelled=True,
    )
