"""Prepare a charge of a wallet for a two-phase commit.

The wallet and the ledger are in Payment's own database, so they can take part. A bank cannot: a card is always charged
by the saga. A refusal leaves no record, because its transaction is rolled back.
"""

from dataclasses import dataclass, replace

from marketplace.payment.deps import Deps
from marketplace.payment.domain import Payment, Status
from marketplace.payment.use_cases.charge_order import ChargeOrder, decline_reason, payment_of
from marketplace.payment.use_cases.outcomes import declined, key_reused
from marketplace.payment.use_cases.record_outcome import post_charge
from souk.sdk import Transaction


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
