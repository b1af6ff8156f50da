"""Charge a card and add the amount to the wallet.

A top-up is a charge like that of an order: its intent is recorded first, and recovery finishes it in the same way.
"""

from dataclasses import dataclass

from marketplace.payment.deps import Deps
from marketplace.payment.domain import MAX_MONEY, Payment, Purpose, Status, Wallet
from marketplace.payment.ports import CardFace
from marketplace.payment.use_cases.charge_card import charge_card, settle_if_cancelled
from marketplace.payment.use_cases.charge_order import Intent, reopen, require_budget
from marketplace.payment.use_cases.outcomes import OutcomeUnknown, declined, in_progress, key_reused
from marketplace.payment.use_cases.save_card import digest_of, face_of
from souk.sdk import DomainError, InvalidArgument, Transaction, Violation, new_id

ABANDONED = "abandoned"
"""The decline reason of a cancelled top-up: no call cancels one today, but older databases may hold one."""


@dataclass(frozen=True, slots=True)
class TopUpWallet:
    """Add `amount` to a user's wallet from the card behind `token`, which is not stored."""

    user_id: str
    key: str
    amount: int
    currency: str
    token: str


@dataclass(frozen=True, slots=True)
class ToppedUp:
    """The wallet, and whether this request was a repeat."""

    wallet: Wallet
    replayed: bool


async def top_up_wallet(deps: Deps, command: TopUpWallet) -> ToppedUp:
    """Charges the card and returns the wallet with the money in it.

    Raises DomainError with PAYMENT_DECLINED, PAYMENT_UNAVAILABLE, CURRENCY_MISMATCH, IDEMPOTENCY_KEY_REUSED or
    REQUEST_IN_PROGRESS, InvalidArgument and Unauthenticated.
    """
    wanted = _payment(deps, command, face_of(deps, command.token))
    async with deps.locks.of(wanted.key):
        intent = await deps.run(lambda tx: _record_intent(deps, tx, wanted, command.token))
        deps.faults.point("payment.top-up.intent-recorded")
        payment = await _charge(deps, intent)
    _require_captured(payment)
    wallet = await deps.database.read(lambda tx: deps.ledger.wallet(tx, command.user_id))
    return ToppedUp(wallet, replayed=intent.payment.status is not Status.PENDING)


async def _charge(deps: Deps, intent: Intent) -> Payment:
    if intent.payment.status is not Status.PENDING or intent.payment.cancelled:
        return intent.payment
    try:
        payment = await charge_card(deps, intent.payment, intent.token, first_try=intent.first_try)
    except OutcomeUnknown as error:
        raise in_progress() from error
    await settle_if_cancelled(deps, payment)
    return payment


async def _record_intent(deps: Deps, tx: Transaction, wanted: Payment, token: str) -> Intent:
    await deps.erased.require_known(tx, wanted.user_id)
    # Top-ups under way count against the wallet's limit, so those of one user are serialised.
    await deps.ledger.lock(tx, wanted.user_id)
    found = await deps.payments.find_by_key(tx, wanted.key)
    require_budget(deps, wanted, found)
    if found is None:
        await _require_room(deps, tx, wanted)
        if await deps.payments.insert(tx, wanted, deps.recovery_time()):
            return Intent(wanted, token, first_try=True)
        found = await deps.payments.find_by_key(tx, wanted.key)
        assert found is not None, "a key that could not be inserted is there"
    if not found.same_request(wanted):
        raise key_reused()
    return await reopen(deps, tx, found, token)


async def _require_room(deps: Deps, tx: Transaction, wanted: Payment) -> None:
    """Checks that the wallet can take this currency and amount, together with every top-up under way."""
    wallet = await deps.ledger.wallet(tx, wanted.user_id)
    open_top_ups = await deps.payments.open_top_ups(tx, wanted.user_id)
    if all(payment.currency == wanted.currency for payment in open_top_ups):
        wallet = await deps.ledger.claim_currency(tx, wanted.user_id, wanted.currency)
    if wallet.currency != wanted.currency:
        raise DomainError("CURRENCY_MISMATCH", f"this wallet holds {wallet.currency}")
    coming = sum(payment.amount for payment in open_top_ups) + wanted.amount
    spent = await deps.payments.spent_from_wallet(tx, wanted.user_id)
    if wallet.balance + coming + spent > MAX_MONEY:
        detail = "is more than the wallet can hold, together with what may be given back of orders paid from it"
        raise InvalidArgument([Violation("amount", detail)])


def _payment(deps: Deps, command: TopUpWallet, face: CardFace) -> Payment:
    return Payment(
        id=new_id("TOP", deps.clock),
        key=f"top-up/{command.user_id}/{command.key}",
        purpose=Purpose.TOP_UP,
        order_id="",
        user_id=command.user_id,
        amount=command.amount,
        currency=command.currency,
        source=f"token/{digest_of(command.token)}",
        method=f"{face.brand} {face.last4}",
        status=Status.PENDING,
        created_at=deps.clock.now(),
    )


def _require_captured(payment: Payment) -> None:
    if payment.status is Status.DECLINED:
        raise declined(payment.decline_reason)
    if payment.status is not Status.CAPTURED:
        raise declined(ABANDONED)
