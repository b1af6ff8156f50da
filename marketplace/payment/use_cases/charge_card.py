"""Charge a card at the provider, for a charge whose intent is recorded."""

from marketplace.payment.deps import Deps
from marketplace.payment.domain import Payment, Status
from marketplace.payment.ports import ProviderAnswer, ProviderRefused, ProviderSilent, ProviderUnavailable, Verdict
from marketplace.payment.use_cases.outcomes import OutcomeUnknown, unavailable
from marketplace.payment.use_cases.record_outcome import record_answer, record_release
from marketplace.payment.use_cases.settle_payment import PROVIDER_TROUBLE, settle_payment
from souk.sdk import SoukError


async def charge_card(deps: Deps, payment: Payment, token: str, *, first_try: bool) -> Payment:
    """Charges the card, records the provider's answer, and returns the payment.

    Raises PAYMENT_UNAVAILABLE when certainly nothing was charged: the charge may be tried again until it is
    cancelled. Raises OutcomeUnknown when that is not certain: a failure now proves nothing about an earlier try
    whose outcome is unknown.
    """
    try:
        answer = await _ask(deps, payment, token, first_try=first_try)
    except ProviderRefused as error:
        deps.failures.note(payment.user_id, deps.clock.monotonic())
        answer = await _make_sure(deps, payment, error, first_try=first_try)
    except ProviderUnavailable as error:
        raise await _unreached(deps, payment, error, first_try=first_try) from error
    deps.faults.point("payment.charge.provider-answered")
    payment = await deps.run(lambda tx: record_answer(deps, tx, payment, answer))
    deps.faults.point("payment.charge.recorded")
    if payment.status is Status.VOIDED and not payment.cancelled:
        raise unavailable(None)
    return payment


async def _ask(deps: Deps, payment: Payment, token: str, *, first_try: bool) -> ProviderAnswer:
    # Earlier tries may have charged, so look the charge up first. A look-up is answered at once, while a
    # charge whose answers are lost would take its full time-out each time, and open the breaker for everyone.
    answer = None if first_try else await _ask_by_key(deps, payment)
    if not _is_final(answer):
        try:
            answer = await deps.provider.charge(
                payment.provider_key, token, payment.amount, payment.currency, payment.user_id
            )
        except ProviderSilent:
            answer = await _ask_by_key(deps, payment)
    if answer is None or not _is_final(answer):
        raise OutcomeUnknown("the outcome of the charge is not known yet")
    return answer


def _is_final(answer: ProviderAnswer | None) -> bool:
    return answer is not None and answer.verdict is not Verdict.PROCESSING


async def _ask_by_key(deps: Deps, payment: Payment) -> ProviderAnswer | None:
    try:
        return await deps.provider.find(payment.provider_key)
    except PROVIDER_TROUBLE as error:
        raise OutcomeUnknown(str(error)) from error


async def _make_sure(deps: Deps, payment: Payment, cause: ProviderRefused, *, first_try: bool) -> ProviderAnswer:
    """Voids a refused charge at the provider, so that it is certain; the answer may be that it was charged."""
    try:
        return await deps.provider.void(payment.provider_key)
    except PROVIDER_TROUBLE as error:
        raise await _unreached(deps, payment, cause, first_try=first_try) from error


async def _unreached(deps: Deps, payment: Payment, cause: ProviderUnavailable, *, first_try: bool) -> SoukError:
    """Returns the error of a charge that, as far as is known, never reached the provider."""
    if first_try and await deps.run(lambda tx: record_release(deps, tx, payment)):
        return unavailable(cause)
    return OutcomeUnknown(str(cause))


async def settle_if_cancelled(deps: Deps, payment: Payment) -> None:
    """Refunds at once what was charged after its cancellation; if the provider fails, recovery does it."""
    if payment.cancelled:
        try:
            await settle_payment(deps, payment)
        except PROVIDER_TROUBLE:
            return
