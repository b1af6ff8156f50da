"""What is written when money moved, or did not: each inside one transaction."""

from dataclasses import replace

from marketplace.payment.office import Office

from marketplace.payment.domain import (
    REFUNDABLE,
    Event,
    Payment,
    Purpose,
    Refund,
    Status,
    paying_account,
    receiving_account,
    wallet_account,
)
from marketplace.payment.ports import ProviderAnswer, Verdict
from souk.kernel.ids import new_id
from souk.store.database import Transaction


async def record_answer(tx: Transaction, office: Office, payment: Payment, answer: ProviderAnswer) -> Payment:
    """Writes the provider's final word on a charge, unless it is written already."""
    if answer.verdict is Verdict.CHARGED:
        return await _record_capture(tx, office, payment)
    now = await _locked(tx, office, payment.id)
    if now.status is not Status.PENDING or now.attempt != payment.attempt:
        return now
    if answer.verdict is Verdict.DECLINED:
        now = now.after(Event.DECLINE, decline_reason=answer.reason)
    else:
        now = now.after(Event.VOID)
    await office.payments.update(tx, now)
    return now


async def record_release(tx: Transaction, office: Office, payment: Payment) -> bool:
    """Writes that nothing was charged, as far as this side knows; false where another may be asking just now.

    The charge may be tried again. It is called void once the provider has confirmed it.
    """
    now = await _locked(tx, office, payment.id)
    if now.status is not Status.PENDING or now.shared or now.attempt != payment.attempt:
        return False
    await office.payments.update(tx, replace(now, released=True), office.recovery_time())
    return True


async def _record_capture(tx: Transaction, office: Office, payment: Payment) -> Payment:
    if payment.status is Status.PENDING and await office.payments.capture(tx, payment):
        payment = payment.after(Event.CAPTURE)
    else:
        payment = await _locked(tx, office, payment.id)
        if payment.status not in (Status.PENDING, Status.VOIDED):
            return payment
        payment = payment.after(Event.CAPTURE, cancelled=_was_given_up(payment))
        await office.payments.update(tx, payment)
    await post_charge(tx, office, payment)
    return await undo(tx, office, payment) if payment.cancelled else payment


def _was_given_up(payment: Payment) -> bool:
    """Whether whoever asked has gone on as if nothing had been charged, so that this must come true.

    A top-up whose key may be used again stands for itself: that it succeeded is what its owner asked for.
    """
    return payment.status is Status.VOIDED or (payment.released and payment.purpose is Purpose.ORDER)


async def post_charge(tx: Transaction, office: Office, payment: Payment) -> None:
    """Enters a charge into the ledger."""
    target = receiving_account(payment)
    await office.ledger.transfer(
        tx, f"charge/{payment.id}", paying_account(payment), target, payment, payment.amount, office.clock.now()
    )
    if target == wallet_account(payment.user_id):
        await office.ledger.credit_wallet(tx, payment.user_id, payment.amount, payment.currency)


async def undo(tx: Transaction, office: Office, payment: Payment) -> Payment:
    """Promises to give back all that is left of a cancelled charge."""
    if payment.status not in REFUNDABLE or not payment.left:
        return payment
    return (await promise(tx, office, payment, f"undo/{payment.id}", payment.left, "cancelled", is_undo=True))[0]


async def promise(
    tx: Transaction, office: Office, payment: Payment, key: str, amount: int, reason: str, *, is_undo: bool = False
) -> tuple[Payment, Refund]:
    """Records a refund to be made: from a card's provider later, to a wallet at once."""
    now = office.clock.now()
    refund = Refund(
        id=new_id("RF", office.clock),
        key=key,
        payment_id=payment.id,
        amount=amount,
        reason=reason,
        undo=is_undo,
        done=amount == 0,
        created_at=now,
        charge_attempt=payment.attempt,
    )
    payment = replace(payment, promised=payment.promised + amount)
    await office.payments.insert_refund(tx, refund, None if refund.done else office.recovery_time())
    await office.payments.update(tx, payment)
    if payment.by_wallet and not refund.done:
        payment = await record_refund(tx, office, refund)
    return payment, refund


async def record_refund(tx: Transaction, office: Office, refund: Refund) -> Payment:
    """Writes that a refund was made, unless it is written already."""
    payment = await _locked(tx, office, refund.payment_id)
    if not await office.payments.finish_refund(tx, refund.id):
        return payment
    payment = payment.refund_made(refund.amount)
    await office.payments.update(tx, payment)
    source, target = receiving_account(payment), paying_account(payment)
    await office.ledger.transfer(tx, f"refund/{refund.id}", source, target, payment, refund.amount, office.clock.now())
    if payment.by_wallet:
        await office.ledger.credit_wallet(tx, payment.user_id, refund.amount, payment.currency)
    if not refund.undo:
        await office.announcer.refunded(tx, payment, refund)
    return payment


async def _locked(tx: Transaction, office: Office, payment_id: str) -> Payment:
    payment = await office.payments.find(tx, payment_id)
    assert payment is not None, "payments are never deleted"
    return payment
