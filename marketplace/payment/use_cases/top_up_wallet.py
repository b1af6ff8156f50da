"""Charge a card, and add the amount to the wallet.

A top-up is a charge like an order's: its intent is recorded, and it recovers in the same way.
"""

from dataclasses import dataclass

from marketplace.payment.office import Office
from marketplace.payment.use_cases.charge import Intent, reopen, require_budget

from marketplace.payment.domain import MAX_MONEY, Payment, Purpose, Status, Wallet
from marketplace.payment.ports import CardFace
from marketplace.payment.use_cases.card_token import digest_of, face_of
from marketplace.payment.use_cases.charge_card import charge_card, settle_if_cancelled
from marketplace.payment.use_cases.outcomes import OutcomeUnknown, declined, in_progress, key_reused
from souk.kernel.errors import DomainError, InvalidArgument, Violation
from souk.kernel.ids import new_id
from souk.store.database import Transaction

ABANDONED = "abandoned"
"""Of a top-up that was cancelled: no call of today does that, but books from before may have one."""


@dataclass(frozen=True, slots=True)
class TopUpWallet:
    """Add `amount` to a user's wallet, from the card behind `token`, which is not kept."""

    user_id: str
    key: str
    amount: int
    currency: str
    token: str


@dataclass(frozen=True, slots=True)
class ToppedUp:
    """The wallet, and whether this was a repeat."""

    wallet: Wallet
    replayed: bool


async def top_up_wallet(command: TopUpWallet, office: Office) -> ToppedUp:
    """The wallet with the money in it.

    Raises DomainError with PAYMENT_DECLINED, PAYMENT_UNAVAILABLE, CURRENCY_MISMATCH,
    IDEMPOTENCY_KEY_REUSED or REQUEST_IN_PROGRESS, InvalidArgument and Unauthenticated.
    """
    wanted = _payment(command, office, face_of(command.token, office))
    async with office.locks.of(wanted.key):
        intent = await office.run(lambda tx: _record_intent(tx, office, wanted, command.token))
        office.faults.point("payment.top-up.intent-recorded")
        payment = await _charge(intent, office)
    _require_captured(payment)
    wallet = await office.database.read(lambda tx: office.ledger.wallet(tx, command.user_id))
    return ToppedUp(wallet, replayed=intent.payment.status is not Status.PENDING)


async def _charge(intent: Intent, office: Office) -> Payment:
    if intent.payment.status is not Status.PENDING or intent.payment.cancelled:
        return intent.payment
    try:
        payment = await charge_card(intent.payment, intent.token, office, first_try=intent.first_try)
    except OutcomeUnknown as error:
        raise in_progress() from error
    await settle_if_cancelled(payment, office)
    return payment


async def _record_intent(tx: Transaction, office: Office, wanted: Payment, token: str) -> Intent:
    await office.erased.require_known(tx, wanted.user_id)
    # Top-ups under way count against the wallet's room, so those of a user see each other.
    await office.ledger.lock(tx, wanted.user_id)
    found = await office.payments.find_by_key(tx, wanted.key)
    require_budget(wanted, office, found)
    if found is None:
        await _require_room(tx, office, wanted)
        if await office.payments.insert(tx, wanted, office.recovery_time()):
            return Intent(wanted, token, first_try=True)
        found = await office.payments.find_by_key(tx, wanted.key)
        assert found is not None, "a key that could not be inserted is there"
    if not found.same_request(wanted):
        raise key_reused()
    return await reopen(tx, office, found, token)


async def _require_room(tx: Transaction, office: Office, wanted: Payment) -> None:
    """The wallet takes this currency and amount, together with every top-up that is under way."""
    wallet = await office.ledger.wallet(tx, wanted.user_id)
    open_top_ups = await office.payments.open_top_ups(tx, wanted.user_id)
    if all(payment.currency == wanted.currency for payment in open_top_ups):
        wallet = await office.ledger.claim_currency(tx, wanted.user_id, wanted.currency)
    if wallet.currency != wanted.currency:
        raise DomainError("CURRENCY_MISMATCH", f"this wallet holds {wallet.currency}")
    coming = sum(payment.amount for payment in open_top_ups) + wanted.amount
    spent = await office.payments.spent_from_wallet(tx, wanted.user_id)
    if wallet.balance + coming + spent > MAX_MONEY:
        detail = "is more than the wallet can hold, together with what may be given back of orders paid from it"
        raise InvalidArgument([Violation("amount", detail)])


def _payment(command: TopUpWallet, office: Office, face: CardFace) -> Payment:
    return Payment(
        id=new_id("TOP", office.clock),
        key=f"top-up/{command.user_id}/{command.key}",
        purpose=Purpose.TOP_UP,
        order_id="",
        user_id=command.user_id,
        amount=command.amount,
        currency=command.currency,
        source=f"token/{digest_of(command.token)}",
        method=f"{face.brand} {face.last4}",
        status=Status.PENDING,
        created_at=office.clock.now(),
    )


def _require_captured(payment: Payment) -> None:
    if payment.status is Status.DECLINED:
        raise declined(payment.decline_reason)
    if payment.status is not Status.CAPTURED:
        raise declined(ABANDONED)
