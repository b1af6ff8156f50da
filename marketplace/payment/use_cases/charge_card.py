"""Ask the provider for the money of a recorded intent."""

from marketplace.payment.office import Office
from marketplace.payment.use_cases.recording import record_answer, record_release
from marketplace.payment.use_cases.settle import PROVIDER_TROUBLE, settle

from marketplace.payment.domain import Payment, Status
from marketplace.payment.ports import ProviderAnswer, ProviderRefused, ProviderSilent, ProviderUnavailable, Verdict
from marketplace.payment.use_cases.outcomes import OutcomeUnknown, unavailable
from souk.kernel.errors import SoukError


async def charge_card(payment: Payment, token: str, office: Office, *, first_try: bool) -> Payment:
    """The payment with the provider's word recorded.

    Raises PAYMENT_UNAVAILABLE when surely nothing was charged: the charge may be tried again, and stays so
    until somebody cancels it. Raises OutcomeUnknown when that is not sure. A failure after an earlier
    try whose end is unknown proves nothing about that one.
    """
    try:
        answer = await _ask(payment, token, office, first_try=first_try)
    except ProviderRefused as error:
        office.failures.note(payment.user_id, office.clock.monotonic())
        answer = await _make_sure(payment, office, error, first_try=first_try)
    except ProviderUnavailable as error:
        raise await _unreached(payment, office, error, first_try=first_try) from error
    office.faults.point("payment.charge.provider-answered")
    payment = await office.run(lambda tx: record_answer(tx, office, payment, answer))
    office.faults.point("payment.charge.recorded")
    if payment.status is Status.VOIDED and not payment.cancelled:
        raise unavailable(None)
    return payment


async def _ask(payment: Payment, token: str, office: Office, *, first_try: bool) -> ProviderAnswer:
    # Earlier tries may have charged. A question is answered at once; a charge whose answers are lost
    # would be waited for each time, and would hold the breaker open for everybody.
    answer = None if first_try else await _ask_by_key(payment, office)
    if not _is_final(answer):
        try:
            answer = await office.provider.charge(
                payment.provider_key, token, payment.amount, payment.currency, payment.user_id
            )
        except ProviderSilent:
            answer = await _ask_by_key(payment, office)
    if answer is None or not _is_final(answer):
        raise OutcomeUnknown("the outcome of the charge is not known yet")
    return answer


def _is_final(answer: ProviderAnswer | None) -> bool:
    return answer is not None and answer.verdict is not Verdict.PROCESSING


async def _ask_by_key(payment: Payment, office: Office) -> ProviderAnswer | None:
    try:
        return await office.provider.find(payment.provider_key)
    except PROVIDER_TROUBLE as error:
        raise OutcomeUnknown(str(error)) from error


async def _make_sure(payment: Payment, office: Office, cause: ProviderRefused, *, first_try: bool) -> ProviderAnswer:
    """Blocks a refused charge in the provider's own record, so that it is void; or finds that it did happen."""
    try:
        return await office.provider.void(payment.provider_key)
    except PROVIDER_TROUBLE as error:
        raise await _unreached(payment, office, cause, first_try=first_try) from error


async def _unreached(payment: Payment, office: Office, cause: ProviderUnavailable, *, first_try: bool) -> SoukError:
    """What a charge ends with that the provider never had, as far as this side knows."""
    if first_try and await office.run(lambda tx: record_release(tx, office, payment)):
        return unavailable(cause)
    return OutcomeUnknown(str(cause))


async def settle_if_cancelled(payment: Payment, office: Office) -> None:
    """Gives back at once what was charged after its cancellation; recovery does it if this cannot."""
    if payment.cancelled:
        try:
            await settle(payment, office)
        except PROVIDER_TROUBLE:
            return
