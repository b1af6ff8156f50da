"""Records the outcomes of charges and refunds, each in the caller's transaction."""

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
    """Records the provider's final answer about a charge, unless it is already recorded; returns the payment."""
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
    """Records that, as far as is known, nothing was charged; returns False if another request may be charging now.

    The charge may be tried again. It becomes VOIDED once the provider has confirmed it.
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
    """Tells whether the caller went on as if nothing had been charged, so that the charge must be undone.

    A released top-up is not undone: its key may be used again, and its success is what its owner asked for.
    """
    return payment.status is Status.VOIDED or (payment.released and payment.purpose is Purpose.ORDER)


async def post_charge(deps: Deps, tx: Transaction, payment: Payment) -> None:
    """Posts a charge to the ledger, and credits the wallet with a top-up."""
    target = receiving_account(payment)
    await deps.ledger.transfer(
        tx, f"charge/{payment.id}", paying_account(payment), target, payment, payment.amount, deps.clock.now()
    )
    if target == wallet_account(payment.user_id):
        await deps.ledger.credit_wallet(tx, payment.user_id, payment.amount, payment.currency)


async def undo(deps: Deps, tx: Transaction, payment: Payment) -> Payment:
    """Records the refund of all that is left of a cancelled charge."""
    if payment.status not in REFUNDABLE or not payment.left:
        return payment
    return (await promise(deps, tx, payment, f"undo/{payment.id}", payment.left, "cancelled", is_undo=True))[0]


async def promise(
    deps: Deps, tx: Transaction, payment: Payment, key: str, amount: int, reason: str, *, is_undo: bool = False
) -> tuple[Payment, Refund]:
    """Records a refund: one to a wallet is made at once, one to a card later by the provider."""
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
    """Records that a refund was made, unless it is already recorded, and publishes PaymentRefunded for an order."""
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
