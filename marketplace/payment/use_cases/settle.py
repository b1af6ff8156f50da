"""Bring a charge to an end that nobody waits for any more: recorded intents, cancellations, refunds.

The provider is asked by key, so it does not matter how often, or after which crash.
"""

from marketplace.payment.domain import Payment, Refund, Status
from marketplace.payment.office import Office
from marketplace.payment.ports import ProviderAnswer, ProviderSilent, ProviderUnavailable, Verdict
from marketplace.payment.use_cases.recording import record_answer, record_refund
from souk.store.database import Transaction

PROVIDER_TROUBLE = (ProviderSilent, ProviderUnavailable)


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
    """Gives back what was promised; raises as `settle` does."""
    await office.provider.refund(refund.id, refund.payment_id, refund.amount)
    office.faults.point("payment.refund.provider-answered")
    return await office.run(lambda tx: record_refund(tx, office, refund))


async def _settle_charge(payment: Payment, office: Office) -> Payment:
    answer = await _ask(payment, office)
    if answer is None or answer.verdict is Verdict.PROCESSING:
        return payment
    office.faults.point("payment.settle.provider-answered")
    final = answer
    return await office.run(lambda tx: record_answer(tx, office, payment, final))


async def _ask(payment: Payment, office: Office) -> ProviderAnswer | None:
    """A cancelled charge is blocked for good, in the same breath as it is asked for."""
    if payment.cancelled:
        return await office.provider.void(payment.id)
    return await office.provider.find(payment.id)
