"""Bring a charge to an end that nobody waits for any more: recorded intents, cancellations, refunds.

The provider is asked by key, so it does not matter how often, or after which crash.
"""

import logging
from dataclasses import replace

from marketplace.payment.office import Office
from marketplace.payment.use_cases.recording import record_answer, record_refund

from marketplace.payment.domain import Payment, Refund, Status
from marketplace.payment.ports import (
    ProviderAnswer,
    ProviderRefused,
    ProviderSilent,
    ProviderUnavailable,
    RefundVerdict,
    Verdict,
)
from souk.store.database import Transaction

PROVIDER_TROUBLE = (ProviderSilent, ProviderUnavailable)
MOST_ATTEMPTS = 5
"""How often a refund that fails at the provider is tried before it waits for somebody who asks for it again."""

_log = logging.getLogger(__name__)


async def settle(payment: Payment, office: Office) -> Payment:
    """The payment once the provider has said what became of it and every open refund is made.

    Raises ProviderSilent or ProviderUnavailable: then it is tried again later.
    """
    if payment.status is Status.PENDING:
        payment = await _settle_charge(payment, office)
    payment, refunds = await _standing(payment, office)
    for refund in refunds:
        payment = await make_refund(refund, office)
    return payment


async def _standing(payment: Payment, office: Office) -> tuple[Payment, list[Refund]]:
    """The payment at the moment at which its open refunds are read: another replica may have made some meanwhile."""

    async def read(tx: Transaction) -> tuple[Payment, list[Refund]]:
        now = await office.payments.get(tx, payment.id, payment.user_id)
        return now or payment, await office.payments.open_refunds(tx, payment.id)

    return await office.database.read(read)


async def make_refund(refund: Refund, office: Office) -> Payment:
    """Gives back what was promised; raises as `settle` does, also while the provider has not made it."""
    verdict = await office.provider.find_refund(refund.provider_key) if refund.pending else None
    if verdict is None:
        verdict = await office.provider.refund(refund.provider_key, refund.charge_key, refund.amount)
    office.faults.point("payment.refund.provider-answered")
    if verdict is RefundVerdict.MADE:
        return await office.run(lambda tx: record_refund(tx, office, refund))
    failed = verdict is RefundVerdict.FAILED
    await office.run(lambda tx: _keep_open(tx, office, refund, failed=failed))
    raise ProviderRefused(f"the card provider says of the refund: {verdict.value}")


async def _keep_open(tx: Transaction, office: Office, refund: Refund, *, failed: bool) -> None:
    """A pending refund is asked about again; a failed one anew, and after so many attempts only on demand."""
    attempt = refund.attempt + 1 if failed else refund.attempt
    due = None if failed and attempt % MOST_ATTEMPTS == 0 else office.recovery_time()
    if due is None:
        _log.error("refund %s has failed %d times at the card provider; nobody tries it again", refund.id, attempt)
    await office.payments.update_refund(tx, replace(refund, attempt=attempt, pending=not failed), due)


async def _settle_charge(payment: Payment, office: Office) -> Payment:
    answer = await _ask(payment, office)
    if answer is None or answer.verdict is Verdict.PROCESSING:
        return payment
    office.faults.point("payment.settle.provider-answered")
    final = answer
    return await office.run(lambda tx: record_answer(tx, office, payment, final))


async def _ask(payment: Payment, office: Office) -> ProviderAnswer | None:
    """A charge that was cancelled, or given up, is blocked in the same breath as it is asked for."""
    if payment.cancelled or payment.released:
        return await office.provider.void(payment.provider_key)
    return await office.provider.find(payment.provider_key)
