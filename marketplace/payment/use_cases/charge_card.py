"""Ask the provider for the money of a recorded intent."""

from marketplace.payment.deps import Deps
from marketplace.payment.domain import Payment, Status
from marketplace.payment.ports import ProviderAnswer, ProviderRefused, ProviderSilent, ProviderUnavailable, Verdict
from marketplace.payment.use_cases.outcomes import OutcomeUnknown, unavailable
from marketplace.payment.use_cases.record_outcome import record_answer, record_release
from marketplace.payment.use_cases.settle_payment import PROVIDER_TROUBLE, settle_payment
from souk.sdk import SoukError


async def charge_card(deps: Deps, payment: Payment, token: str, *, first_try: bool) -> Payment:
    """The payment with the provider's word recorded.

    Raises PAYMENT_UNAVAILABLE when surely nothing was charged: the charge may be tried again, and stays so
    until somebody cancels it. Raises OutcomeUnknown when that is not sure. A failure after an earlier
    try whose end is unknown proves nothing about that one.
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
    # Earlier tries may have charged. A question is answered at once; a charge whose answers are lost
    # would be waited for each time, and would hold the breaker open for everybody.
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
    """Blocks a refused charge in the provider's own record, so that it is void; or finds that it did happen."""
    try:
        return await deps.provider.void(payment.provider_key)
    except PROVIDER_TROUBLE as error:
        raise await _unreached(deps, payment, cause, first_try=first_try) from error


async def _unreached(deps: Deps, payment: Payment, cause: ProviderUnavailable, *, first_try: bool) -> SoukError:
    """What a charge ends with that the provider never had, as far as this side knows."""
    if first_try and await deps.run(lambda tx: record_release(deps, tx, payment)):
        return unavailable(cause)
    return OutcomeUnknown(str(cause))


async def settle_if_cancelled(deps: Deps, payment: Payment) -> None:
    """Gives back at once what was charged after its cancellation; recovery does it if this cannot."""
    if payment.cancelled:
        try:
            await settle_payment(deps, payment)
        except PROVIDER_TROUBLE:
            return
