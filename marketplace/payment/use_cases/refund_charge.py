"""Give back what is left of an order's charge, when the order is cancelled."""

from dataclasses import dataclass

from marketplace.payment.office import Office
from marketplace.payment.use_cases.recording import promise

from marketplace.payment.domain import REFUNDABLE, Payment, Status
from marketplace.payment.use_cases.make_promised_refunds import make_promised_refunds
from marketplace.payment.use_cases.outcomes import key_reused
from marketplace.payment.use_cases.refund_payment import not_refundable, order_payment
from souk.store.database import Transaction


@dataclass(frozen=True, slots=True)
class RefundCharge:
    """Give back the rest of a payment."""

    key: str
    payment_id: str
    reason: str


async def refund_charge(command: RefundCharge, office: Office) -> Payment:
    """The refunded payment.

    Raises DomainError with PAYMENT_NOT_FOUND, NOT_REFUNDABLE or IDEMPOTENCY_KEY_REUSED, and
    OutcomeUnknown while the provider is in the way. That is no refusal: the promise is recorded.
    """
    key = f"order/{command.key}"
    async with office.locks.of(key):
        payment = await office.run(lambda tx: _promise(tx, office, command, key))
        office.faults.point("payment.refund.promised")
        return await make_promised_refunds(payment, office)


async def _promise(tx: Transaction, office: Office, command: RefundCharge, key: str) -> Payment:
    known = await office.payments.find_refund(tx, key)
    if known is not None and (known.payment_id, known.reason) != (command.payment_id, command.reason):
        raise key_reused()
    payment = await order_payment(tx, office, command.payment_id)
    if known is not None:
        return payment
    if payment.status not in (*REFUNDABLE, Status.REFUNDED):
        raise not_refundable()
    # Nothing may be left; the empty refund still binds the key.
    return (await promise(tx, office, payment, key, payment.left, command.reason))[0]
