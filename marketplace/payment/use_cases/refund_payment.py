"""Refund an amount of a payment, on the request of an admin.

The refund is recorded before the provider is called, and is made whatever happens then. A refusal leaves its key
unused.
"""

from dataclasses import dataclass

from marketplace.payment.deps import Deps
from marketplace.payment.domain import REFUNDABLE, Payment, Purpose, Refund, Status
from marketplace.payment.use_cases.outcomes import OutcomeUnknown, in_progress, key_reused
from marketplace.payment.use_cases.record_outcome import promise
from marketplace.payment.use_cases.settle_payment import make_promised_refunds
from souk.sdk import DomainError, Transaction


@dataclass(frozen=True, slots=True)
class RefundPayment:
    """Refund `amount` of a payment; the key is unique within `caller`."""

    caller: str
    key: str
    payment_id: str
    amount: int
    reason: str


@dataclass(frozen=True, slots=True)
class Refunded:
    """The payment, and whether this request was a repeat."""

    payment: Payment
    replayed: bool


async def refund_payment(deps: Deps, command: RefundPayment) -> Refunded:
    """Refunds the amount, and returns the payment once the refund is made.

    Raises DomainError with PAYMENT_NOT_FOUND, NOT_REFUNDABLE, REFUND_TOO_LARGE, IDEMPOTENCY_KEY_REUSED, or
    REQUEST_IN_PROGRESS while the provider cannot make the refund.
    """
    key = f"admin/{command.caller}/{command.key}"
    async with deps.locks.of(key):
        recorded = await deps.run(lambda tx: _promise(deps, tx, command, key))
        deps.faults.point("payment.refund.promised")
        try:
            payment = await make_promised_refunds(deps, recorded.payment)
        except OutcomeUnknown as error:
            raise in_progress() from error
    return Refunded(payment, recorded.replayed)


async def _promise(deps: Deps, tx: Transaction, command: RefundPayment, key: str) -> Refunded:
    known = await deps.payments.find_refund(tx, key)
    if known is not None and not _same(known, command):
        raise key_reused()
    payment = await order_payment(deps, tx, command.payment_id)
    if known is not None:
        return Refunded(payment, replayed=True)
    if payment.status not in (*REFUNDABLE, Status.REFUNDED):
        raise not_refundable()
    if command.amount > payment.left:
        raise DomainError("REFUND_TOO_LARGE", f"only {payment.left} of it can still be refunded")
    payment, _ = await promise(deps, tx, payment, key, command.amount, command.reason)
    return Refunded(payment, replayed=False)


async def order_payment(deps: Deps, tx: Transaction, payment_id: str) -> Payment:
    """Returns and locks the payment of an order; raises PAYMENT_NOT_FOUND."""
    payment = await deps.payments.find(tx, payment_id)
    if payment is None or payment.purpose is not Purpose.ORDER or payment.status is Status.BLOCKED:
        raise DomainError("PAYMENT_NOT_FOUND", "the payment does not exist")
    return payment


def not_refundable() -> DomainError:
    """Makes the refusal to refund a payment that was never captured."""
    return DomainError("NOT_REFUNDABLE", "this payment was not captured")


def _same(known: Refund, command: RefundPayment) -> bool:
    payload = (command.payment_id, command.amount, command.reason)
    return (known.payment_id, known.amount, known.reason) == payload
