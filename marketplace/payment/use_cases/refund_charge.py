"""Refund what is left of an order's charge, when the order is cancelled."""

from dataclasses import dataclass

from marketplace.payment.deps import Deps
from marketplace.payment.domain import REFUNDABLE, Payment, Status
from marketplace.payment.use_cases.outcomes import key_reused
from marketplace.payment.use_cases.record_outcome import promise
from marketplace.payment.use_cases.refund_payment import not_refundable, order_payment
from marketplace.payment.use_cases.settle_payment import make_promised_refunds
from souk.sdk import Transaction


@dataclass(frozen=True, slots=True)
class RefundCharge:
    """Refund the rest of a payment."""

    key: str
    payment_id: str
    reason: str


async def refund_charge(deps: Deps, command: RefundCharge) -> Payment:
    """Refunds the payment and returns it.

    Raises DomainError with PAYMENT_NOT_FOUND, NOT_REFUNDABLE or IDEMPOTENCY_KEY_REUSED, and OutcomeUnknown while
    the provider cannot make it. That is no refusal: the refund is recorded and will be made.
    """
    key = f"order/{command.key}"
    async with deps.locks.of(key):
        payment = await deps.run(lambda tx: _promise(deps, tx, command, key))
        deps.faults.point("payment.refund.promised")
        return await make_promised_refunds(deps, payment)


async def _promise(deps: Deps, tx: Transaction, command: RefundCharge, key: str) -> Payment:
    known = await deps.payments.find_refund(tx, key)
    if known is not None and (known.payment_id, known.reason) != (command.payment_id, command.reason):
        raise key_reused()
    payment = await order_payment(deps, tx, command.payment_id)
    if known is not None:
        return payment
    if payment.status not in (*REFUNDABLE, Status.REFUNDED):
        raise not_refundable()
    # If nothing is left, the empty refund still binds the key.
    return (await promise(deps, tx, payment, key, payment.left, command.reason))[0]
