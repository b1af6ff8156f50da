"""What is written when money moved, or did not: each inside one transaction."""

from dataclasses import replace

from marketplace.payment.deps import Deps
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
from marketplace.payment.messages import payment_refunded
from marketplace.payment.ports import ProviderAnswer, Verdict
from souk.sdk import Transaction, new_id


async def record_answer(deps: Deps, tx: Transaction, payment: Payment, answer: ProviderAnswer) -> Payment:
    """Writes the provider's final word on a charge, unless it is written already."""
    if answer.verdict is Verdict.CHARGED:
        return await _record_capture(deps, tx, payment)
    now = await _locked(deps, tx, payment.id)
    if now.status is not Status.PENDING or now.attempt != payment.attempt:
        return now
    if answer.verdict is Verdict.DECLINED:
        now = now.after(Event.DECLINE, decline_reason=answer.reason)
    else:
        now = now.after(Event.VOID)
    await deps.payments.update(tx, now)
    return now


async def record_release(deps: Deps, tx: Transaction, payment: Payment) -> bool:
    """Writes that nothing was charged, as far as this side knows; false where another may be asking just now.

    The charge may be tried again. It is called void once the provider has confirmed it.
    """
    now = await _locked(deps, tx, payment.id)
    if now.status is not Status.PENDING or now.shared or now.attempt != payment.attempt:
        return False
    await deps.payments.update(tx, replace(now, released=True), deps.recovery_time())
    return True


async def _record_capture(deps: Deps, tx: Transaction, payment: Payment) -> Payment:
    if payment.status is Status.PENDING and await deps.payments.capture(tx, payment):
        payment = payment.after(Event.CAPTURE)
    else:
        payment = await _locked(deps, tx, payment.id)
        if payment.status not in (Status.PENDING, Status.VOIDED):
            return payment
        payment = payment.after(Event.CAPTURE, cancelled=_was_given_up(payment))
        await deps.payments.update(tx, payment)
    await post_charge(deps, tx, payment)
    return await undo(deps, tx, payment) if payment.cancelled else payment


def _was_given_up(payment: Payment) -> bool:
    """Whether whoever asked has gone on as if nothing had been charged, so that this must come true.

    A top-up whose key may be used again stands for itself: that it succeeded is what its owner asked for.
    """
    return payment.status is Status.VOIDED or (payment.released and payment.purpose is Purpose.ORDER)


async def post_charge(deps: Deps, tx: Transaction, payment: Payment) -> None:
    """Enters a charge into the ledger."""
    target = receiving_account(payment)
    await deps.ledger.transfer(
        tx, f"charge/{payment.id}", paying_account(payment), target, payment, payment.amount, deps.clock.now()
    )
    if target == wallet_account(payment.user_id):
        await deps.ledger.credit_wallet(tx, payment.user_id, payment.amount, payment.currency)


async def undo(deps: Deps, tx: Transaction, payment: Payment) -> Payment:
    """Promises to give back all that is left of a cancelled charge."""
    if payment.status not in REFUNDABLE or not payment.left:
        return payment
    return (await promise(deps, tx, payment, f"undo/{payment.id}", payment.left, "cancelled", is_undo=True))[0]


async def promise(
    deps: Deps, tx: Transaction, payment: Payment, key: str, amount: int, reason: str, *, is_undo: bool = False
) -> tuple[Payment, Refund]:
    """Records a refund to be made: from a card's provider later, to a wallet at once."""
    now = deps.clock.now()
    refund = Refund(
        id=new_id("RF", deps.clock),
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
    await deps.payments.insert_refund(tx, refund, None if refund.done else deps.recovery_time())
    await deps.payments.update(tx, payment)
    if payment.by_wallet and not refund.done:
        payment = await record_refund(deps, tx, refund)
    return payment, refund


async def record_refund(deps: Deps, tx: Transaction, refund: Refund) -> Payment:
    """Writes that a refund was made, unless it is written already."""
    payment = await _locked(deps, tx, refund.payment_id)
    if not await deps.payments.finish_refund(tx, refund.id):
        return payment
    payment = payment.refund_made(refund.amount)
    await deps.payments.update(tx, payment)
    source, target = receiving_account(payment), paying_account(payment)
    await deps.ledger.transfer(tx, f"refund/{refund.id}", source, target, payment, refund.amount, deps.clock.now())
    if payment.by_wallet:
        await deps.ledger.credit_wallet(tx, payment.user_id, refund.amount, payment.currency)
    if not refund.undo:
        await deps.outbox.publish(tx, payment.order_id, payment_refunded(payment, refund))
    return payment


async def _locked(deps: Deps, tx: Transaction, payment_id: str) -> Payment:
    payment = await deps.payments.find(tx, payment_id)
    assert payment is not None, "payments are never deleted"
    return payment
