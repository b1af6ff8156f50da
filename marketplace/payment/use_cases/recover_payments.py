"""Finish charges and refunds that were left unfinished by a crash, a provider failure or a client that gave up."""

import asyncio
import logging
from dataclasses import replace

from marketplace.payment.deps import Deps
from marketplace.payment.domain import Payment, Purpose, Refund, Status
from marketplace.payment.use_cases.settle_payment import PROVIDER_TROUBLE, make_refund, settle_payment
from souk.sdk import MICROSECONDS, Transaction

BATCH = 50
ABSENT = 60 * MICROSECONDS
"""Microseconds after which a top-up unknown to the provider is given up: no request lasts that long.

Charges of orders are cancelled by Order."""
PATIENCE = 24 * 3_600 * MICROSECONDS
"""Microseconds after which a top-up that the provider knows, but has not decided, is given up too."""

_log = logging.getLogger(__name__)


async def recover_payments(deps: Deps) -> int:
    """Tries once to finish what is due, and returns how many charges and refunds that were.

    Each is postponed before its try, for longer each time, so that one that fails becomes due again by itself.
    """
    now = deps.clock.now()
    payments = await deps.run(lambda tx: deps.payments.claim(tx, now, BATCH))
    await asyncio.gather(*(_attempt(deps, payment) for payment in payments))
    refunds = await deps.run(lambda tx: deps.payments.claim_refunds(tx, now, BATCH))
    await asyncio.gather(*(_attempt_refund(deps, refund) for refund in refunds))
    return len(payments) + len(refunds)


async def _attempt(deps: Deps, payment: Payment) -> None:
    try:
        if await _is_left(deps, payment):
            payment = await _give_up(deps, payment)
        await settle_payment(deps, payment)
    except PROVIDER_TROUBLE as error:
        _log.warning("payment %s is not settled yet: %s", payment.id, error)


async def _attempt_refund(deps: Deps, refund: Refund) -> None:
    try:
        await make_refund(deps, refund)
    except PROVIDER_TROUBLE as error:
        _log.warning("refund %s is not made yet: %s", refund.id, error)


async def _is_left(deps: Deps, payment: Payment) -> bool:
    """Tells whether a top-up has no outcome and no request waits for one. Its key may still be used again."""
    waited = deps.clock.now() - payment.created_at
    open_ = payment.status is Status.PENDING and not (payment.cancelled or payment.released)
    if payment.purpose is not Purpose.TOP_UP or not open_ or waited < ABSENT:
        return False
    return waited >= PATIENCE or await deps.provider.find(payment.provider_key) is None


async def _give_up(deps: Deps, payment: Payment) -> Payment:
    async def work(tx: Transaction) -> Payment:
        found = await deps.payments.find(tx, payment.id)
        assert found is not None, "payments are never deleted"
        if found.status is Status.PENDING:
            found = replace(found, released=True)
            await deps.payments.update(tx, found, deps.recovery_time())
        return found

    return await deps.run(work)
