"""End what was begun and left: by a crash, by a provider that was away, by a client that never came back."""

import asyncio
import logging
from dataclasses import replace

from marketplace.payment.domain import Payment, Purpose, Refund, Status
from marketplace.payment.office import Office
from marketplace.payment.use_cases.settle import PROVIDER_TROUBLE, make_refund, settle
from souk.kernel.clock import MICROSECONDS
from souk.store.database import Transaction

BATCH = 50
PATIENCE = 24 * 3_600 * MICROSECONDS
"""How long a top-up may stay undecided; then this attempt is given up. Orders cancel their own charges."""

_log = logging.getLogger(__name__)


async def recover(office: Office) -> int:
    """Looks once at what is due, and returns how much that was.

    Each is put off before it is tried, longer each time, so one that fails comes back by itself.
    """
    now = office.clock.now()
    payments = await office.run(lambda tx: office.payments.claim(tx, now, BATCH))
    await asyncio.gather(*(_attempt(payment, office) for payment in payments))
    refunds = await office.run(lambda tx: office.payments.claim_refunds(tx, now, BATCH))
    await asyncio.gather(*(_attempt_refund(refund, office) for refund in refunds))
    return len(payments) + len(refunds)


async def _attempt(payment: Payment, office: Office) -> None:
    try:
        await settle(await _give_up_waiting(payment, office), office)
    except PROVIDER_TROUBLE as error:
        _log.warning("payment %s is not settled yet: %s", payment.id, error)


async def _attempt_refund(refund: Refund, office: Office) -> None:
    try:
        await make_refund(refund, office)
    except PROVIDER_TROUBLE as error:
        _log.warning("refund %s is not made yet: %s", refund.id, error)


async def _give_up_waiting(payment: Payment, office: Office) -> Payment:
    waited = office.clock.now() - payment.created_at
    settled = payment.cancelled or payment.released
    if payment.purpose is not Purpose.TOP_UP or settled or waited < PATIENCE:
        return payment

    async def work(tx: Transaction) -> Payment:
        found = await office.payments.find(tx, payment.id)
        assert found is not None, "payments are never deleted"
        if found.status is Status.PENDING:
            found = replace(found, released=True)
            await office.payments.update(tx, found, office.recovery_time())
        return found

    return await office.run(work)
