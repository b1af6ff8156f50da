"""Finish a recorded charge: learn its outcome, void it if it was cancelled, and make its open refunds.

The provider is called by key, so that repeats are harmless, after any crash.
"""

import logging
from dataclasses import replace

from marketplace.payment.deps import Deps
from marketplace.payment.domain import Payment, Refund, Status
from marketplace.payment.ports import (
    ProviderAnswer,
    ProviderRefused,
    ProviderSilent,
    ProviderUnavailable,
    RefundVerdict,
    Verdict,
)
from marketplace.payment.use_cases.outcomes import OutcomeUnknown
from marketplace.payment.use_cases.record_outcome import record_answer, record_refund
from souk.sdk import Transaction

PROVIDER_TROUBLE = (ProviderSilent, ProviderUnavailable)
MOST_ATTEMPTS = 5
"""How often a refund that fails at the provider is tried before it waits to be requested again."""

_log = logging.getLogger(__name__)


async def settle_payment(deps: Deps, payment: Payment) -> Payment:
    """Records the outcome of a pending charge, makes every open refund, and returns the payment.

    Raises ProviderSilent or ProviderUnavailable: then recovery tries it again later.
    """
    if payment.status is Status.PENDING:
        payment = await _settle_charge(deps, payment)
    payment, refunds = await _standing(deps, payment)
    for refund in refunds:
        payment = await make_refund(deps, refund)
    return payment


async def make_promised_refunds(deps: Deps, payment: Payment) -> Payment:
    """Makes every promised refund and returns the payment, for a request that waits for it.

    Raises OutcomeUnknown when the provider cannot make one: the refund stays recorded, and recovery makes it.
    """
    if payment.promised == payment.refunded:
        return payment
    try:
        return await settle_payment(deps, payment)
    except PROVIDER_TROUBLE as error:
        raise OutcomeUnknown(str(error)) from error


async def _standing(deps: Deps, payment: Payment) -> tuple[Payment, list[Refund]]:
    """Reads the payment and its open refunds in one snapshot: another replica may have made some meanwhile."""

    async def read(tx: Transaction) -> tuple[Payment, list[Refund]]:
        now = await deps.payments.get(tx, payment.id, payment.user_id)
        return now or payment, await deps.payments.open_refunds(tx, payment.id)

    return await deps.database.read(read)


async def make_refund(deps: Deps, refund: Refund) -> Payment:
    """Makes a recorded refund at the provider; raises as `settle_payment` does, also while it is pending there."""
    verdict = await deps.provider.find_refund(refund.provider_key) if refund.pending else None
    if verdict is None:
        verdict = await deps.provider.refund(refund.provider_key, refund.charge_key, refund.amount)
    deps.faults.point("payment.refund.provider-answered")
    if verdict is RefundVerdict.MADE:
        return await deps.run(lambda tx: record_refund(deps, tx, refund))
    failed = verdict is RefundVerdict.FAILED
    await deps.run(lambda tx: _keep_open(deps, tx, refund, failed=failed))
    raise ProviderRefused(f"the card provider says of the refund: {verdict.value}")


async def _keep_open(deps: Deps, tx: Transaction, refund: Refund, *, failed: bool) -> None:
    """Keeps a refund open: a pending one is looked up again later, a failed one is requested under a new key.

    After each MOST_ATTEMPTS failures it is no longer due, and waits until it is requested again.
    """
    attempt = refund.attempt + 1 if failed else refund.attempt
    due = None if failed and attempt % MOST_ATTEMPTS == 0 else deps.recovery_time()
    if due is None:
        _log.error("refund %s has failed %d times at the card provider; nobody tries it again", refund.id, attempt)
    await deps.payments.update_refund(tx, replace(refund, attempt=attempt, pending=not failed), due)


async def _settle_charge(deps: Deps, payment: Payment) -> Payment:
    answer = await _ask(deps, payment)
    if answer is None or answer.verdict is Verdict.PROCESSING:
        return payment
    deps.faults.point("payment.settle.provider-answered")
    final = answer
    return await deps.run(lambda tx: record_answer(deps, tx, payment, final))


async def _ask(deps: Deps, payment: Payment) -> ProviderAnswer | None:
    """Asks the provider for the outcome of a charge; one that was cancelled or released is voided by the same call."""
    if payment.cancelled or payment.released:
        return await deps.provider.void(payment.provider_key)
    return await deps.provider.find(payment.provider_key)
