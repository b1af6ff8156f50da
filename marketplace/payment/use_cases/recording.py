"""What is written when money moved, or did not: each inside one transaction."""

from dataclasses import replace

from marketplace.payment.domain import (
    REFUNDABLE,
    Event,
    Payment,
    Refund,
    Status,
    paying_account,
    receiving_account,
    wallet_account,
)
from marketplace.payment.office import Office
from marketplace.payment.ports import ProviderAnswer, Verdict
from souk.kernel.ids import new_id
from souk.store.database import Transaction


async def record_answer(tx: Transaction, office: Office, payment: Payment, answer: ProviderAnswer) -> Payment:
    """Writes the provider's final word on a charge, unless it is written already."""
    if answer.verdict is Verdict.CHARGED:
        return await _record_capture(tx, office, payment)
    payment = await _locked(tx, office, payment.id)
    if payment.status is not Status.PENDING:
        return payment
    if answer.verdict is Verdict.DECLINED:
        payment = payment.after(Event.DECLINE, decline_reason=answer.reason)
    else:
        payment = payment.after(Event.VOID, cancelled=True)
    await office.payments.update(tx, payment)
    return payment


async def record_no_charge(tx: Transaction, office: Office, payment_id: str) -> None:
    """Writes that a try came to nothing. The charge may be tried again under its key."""
    payment = await _locked(tx, office, payment_id)
    if payment.status is Status.PENDING:
        await office.payments.update(tx, payment.after(Event.VOID))


async def _record_capture(tx: Transaction, office: Office, payment: Payment) -> Payment:
    if payment.status is Status.PENDING and await office.payments.capture(tx, payment):
        payment = payment.after(Event.CAPTURE)
    else:
        payment = await _locked(tx, office, payment.id)
        if payment.status not in (Status.PENDING, Status.VOIDED):
            return payment
        # Of a voided one somebody was told that nothing was charged: it must come true.
        payment = payment.after(Event.CAPTURE, cancelled=payment.status is Status.VOIDED)
        await office.payments.update(tx, payment)
    await post_charge(tx, office, payment)
    return await undo(tx, office, payment) if payment.cancelled else payment


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
    refund = Refund(new_id("RF", office.clock), key, payment.id, amount, reason, is_undo, amount == 0, now)
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
