"""Charge for an order: the same key is the same charge for ever.

The intent commits before the provider is called, so that after a crash the charge can be looked up by its key,
and no charge is unknown.

A charge of a wallet can also be prepared for a two-phase commit: the wallet and the ledger are in Payment's own
database. A bank's card cannot. A refusal then leaves no record, because its transaction is rolled back.
"""

from dataclasses import dataclass, replace

from marketplace.payment.deps import Deps
from marketplace.payment.domain import WALLET, Card, Payment, Purpose, Status
from marketplace.payment.use_cases.charge_card import charge_card, settle_if_cancelled
from marketplace.payment.use_cases.outcomes import declined, key_reused, too_many_tries
from marketplace.payment.use_cases.record_outcome import post_charge
from souk.sdk import DomainError, Transaction, new_id

CARD_GONE = "card_not_available"
_CARD = "card/"


@dataclass(frozen=True, slots=True)
class ChargeOrder:
    """Charge an amount for an order; `card_id` is a saved card, or None for the wallet."""

    key: str
    order_id: str
    user_id: str
    amount: int
    currency: str
    card_id: str | None


@dataclass(frozen=True, slots=True)
class Intent:
    """A recorded charge; `first_try` says that the provider cannot have been called for it yet."""

    payment: Payment
    token: str
    first_try: bool


async def charge_order(deps: Deps, command: ChargeOrder) -> Payment:
    """Charges and returns the payment, captured now or by an earlier call with the same key.

    Raises DomainError with PAYMENT_DECLINED, PAYMENT_UNAVAILABLE, CHARGE_CANCELLED or
    IDEMPOTENCY_KEY_REUSED, and OutcomeUnknown.
    """
    async with deps.locks.of(command.key):
        if command.card_id is None:
            payment = await deps.run(lambda tx: _by_wallet(deps, tx, command))
        else:
            payment = await _by_card(deps, command)
    return _answer(payment)


@dataclass(frozen=True, slots=True)
class PrepareCharge:
    """Prepare the charge of a wallet in a transaction."""

    transaction: str
    charge: ChargeOrder


async def prepare_charge(deps: Deps, command: PrepareCharge) -> Payment:
    """Prepares the charge and returns the payment, which is captured once the transaction commits.

    Raises DomainError with PAYMENT_DECLINED, IDEMPOTENCY_KEY_REUSED, and the reasons of a two-phase commit.
    """
    payment = replace(payment_of(deps, command.charge, None), status=Status.CAPTURED)

    async def work(tx: Transaction) -> Payment:
        if not await deps.payments.insert(tx, payment, None):
            raise key_reused()
        if not await deps.ledger.debit_wallet(tx, payment.user_id, payment.amount, payment.currency):
            raise declined(await decline_reason(deps, tx, payment))
        await post_charge(deps, tx, payment)
        return payment

    return await deps.participant.prepare(command.transaction, work)


async def _by_card(deps: Deps, command: ChargeOrder) -> Payment:
    card = await deps.database.read(lambda tx: deps.cards.find(tx, command.card_id or "", command.user_id), single=True)
    intent = await deps.run(lambda tx: _record_intent(deps, tx, command, card))
    deps.faults.point("payment.charge.intent-recorded")
    payment = intent.payment
    if payment.status is not Status.PENDING or payment.cancelled:
        return payment
    payment = await charge_card(deps, payment, intent.token, first_try=intent.first_try)
    await settle_if_cancelled(deps, payment)
    return payment


async def _record_intent(deps: Deps, tx: Transaction, command: ChargeOrder, card: Card | None) -> Intent:
    wanted = payment_of(deps, command, card)
    if deps.failures.wait(wanted.user_id, deps.clock.monotonic()) > 0:
        require_budget(deps, wanted, await deps.payments.find_by_key(tx, wanted.key))
    if card is not None and await deps.payments.insert(tx, wanted, deps.recovery_time()):
        return Intent(wanted, card.token, first_try=True)
    found = await _known(deps, tx, wanted)
    if found is None:
        raise declined(CARD_GONE)
    return await reopen(deps, tx, found, card.token if card else "")


def require_budget(deps: Deps, wanted: Payment, found: Payment | None) -> None:
    """Refuses a new try of a customer whose cards have failed too often; charges under way go on."""
    if found is None or found.released or found.status is Status.VOIDED:
        seconds = deps.failures.wait(wanted.user_id, deps.clock.monotonic())
        if seconds > 0:
            raise too_many_tries(seconds)


async def reopen(deps: Deps, tx: Transaction, found: Payment, token: str) -> Intent:
    """Returns the intent of a known charge; it is tried again if the try before certainly charged nothing.

    A charge whose card is gone (an empty `token`) cannot be tried again, and is cancelled instead.
    """
    if found.cancelled or found.status not in (Status.PENDING, Status.VOIDED):
        return Intent(found, token, first_try=False)
    if not token and found.status is Status.VOIDED:
        raise declined(CARD_GONE)
    if not token:
        found = replace(found, cancelled=True)
        await deps.payments.update(tx, found, deps.clock.now())
        return Intent(found, token, first_try=False)
    unasked = found.released or found.status is Status.VOIDED
    if unasked or not found.shared:
        found = found.anew() if unasked else replace(found, shared=True)
        await deps.payments.update(tx, found, deps.recovery_time())
    return Intent(found, token, first_try=unasked)


async def _by_wallet(deps: Deps, tx: Transaction, command: ChargeOrder) -> Payment:
    """Pays from the wallet, in one transaction: no provider is involved."""
    payment = replace(payment_of(deps, command, None), status=Status.CAPTURED)
    if not await deps.payments.insert(tx, payment, None):
        found = await _known(deps, tx, payment)
        assert found is not None, "a key that could not be inserted is there"
        return found
    if await deps.ledger.debit_wallet(tx, payment.user_id, payment.amount, payment.currency):
        await post_charge(deps, tx, payment)
        return payment
    payment = replace(payment, status=Status.DECLINED, decline_reason=await decline_reason(deps, tx, payment))
    await deps.payments.update(tx, payment)
    return payment


async def decline_reason(deps: Deps, tx: Transaction, payment: Payment) -> str:
    """Tells why a wallet could not pay."""
    wallet = await deps.ledger.wallet(tx, payment.user_id)
    other_currency = wallet.currency not in ("", payment.currency)
    return "currency_mismatch" if other_currency else "insufficient_funds"


async def _known(deps: Deps, tx: Transaction, wanted: Payment) -> Payment | None:
    found = await deps.payments.find_by_key(tx, wanted.key)
    if found is not None and found.status is not Status.BLOCKED and not found.same_request(wanted):
        raise key_reused()
    return found


def payment_of(deps: Deps, command: ChargeOrder, card: Card | None) -> Payment:
    """Makes the payment of a charge, which is not recorded yet."""
    return Payment(
        id=new_id("PAY", deps.clock),
        key=command.key,
        purpose=Purpose.ORDER,
        order_id=command.order_id,
        user_id=command.user_id,
        amount=command.amount,
        currency=command.currency,
        source=WALLET if command.card_id is None else f"{_CARD}{command.card_id}",
        method=card.label if card else WALLET,
        status=Status.PENDING,
        created_at=deps.clock.now(),
    )


def _answer(payment: Payment) -> Payment:
    if payment.status is Status.DECLINED:
        raise declined(payment.decline_reason)
    if payment.cancelled or payment.status in (Status.BLOCKED, Status.VOIDED):
        raise DomainError("CHARGE_CANCELLED", "this charge was cancelled")
    return payment
