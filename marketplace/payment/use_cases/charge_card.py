"""Ask the provider for the money of a recorded intent."""

from marketplace.payment.domain import Payment, Status
from marketplace.payment.office import Office
from marketplace.payment.ports import ProviderAnswer, ProviderSilent, ProviderUnavailable, Verdict
from marketplace.payment.use_cases.outcomes import OutcomeUnknown, unavailable
from marketplace.payment.use_cases.recording import record_answer, record_no_charge
from marketplace.payment.use_cases.settle import PROVIDER_TROUBLE, settle


async def charge_card(payment: Payment, token: str, office: Office, *, first_try: bool) -> Payment:
    """The payment with the provider's word recorded.

    Raises PAYMENT_UNAVAILABLE when surely nothing was charged, OutcomeUnknown when that is not
    sure. A failure after an earlier try whose end is unknown proves nothing about that one.
    """
    try:
        answer = await _ask(payment, token, office, first_try=first_try)
    except ProviderUnavailable as error:
        if not first_try:
            return await _give_up(payment, office, error)
        await office.run(lambda tx: record_no_charge(tx, office, payment.id))
        raise unavailable(error) from error
    office.faults.point("payment.charge.provider-answered")
    payment = await office.run(lambda tx: record_answer(tx, office, payment, answer))
    office.faults.point("payment.charge.recorded")
    return payment


async def _ask(payment: Payment, token: str, office: Office, *, first_try: bool) -> ProviderAnswer:
    # Earlier tries may have charged. A question is answered at once; a charge whose answers are lost
    # would be waited for each time, and would hold the breaker open for everybody.
    answer = None if first_try else await _ask_by_key(payment, office)
    if not _is_final(answer):
        try:
            answer = await office.provider.charge(payment.id, token, payment.amount, payment.currency)
        except ProviderSilent:
            answer = await _ask_by_key(payment, office)
    if answer is None or not _is_final(answer):
        raise OutcomeUnknown("the card provider has not said yet what became of the charge")
    return answer


def _is_final(answer: ProviderAnswer | None) -> bool:
    return answer is not None and answer.verdict is not Verdict.PROCESSING


async def _ask_by_key(payment: Payment, office: Office) -> ProviderAnswer | None:
    try:
        return await office.provider.find(payment.id)
    except PROVIDER_TROUBLE as error:
        raise OutcomeUnknown(str(error)) from error


async def _give_up(payment: Payment, office: Office, cause: ProviderUnavailable) -> Payment:
    """Blocks the charge for good, so that the failure is definite; or finds that it did happen."""
    try:
        answer = await office.provider.void(payment.id)
    except PROVIDER_TROUBLE as error:
        raise OutcomeUnknown(str(error)) from error
    payment = await office.run(lambda tx: record_answer(tx, office, payment, answer))
    if payment.status is Status.VOIDED:
        raise unavailable(cause)
    return payment


async def settle_if_cancelled(payment: Payment, office: Office) -> None:
    """Gives back at once what was charged after its cancellation; recovery does it if this cannot."""
    if payment.cancelled:
        try:
            await settle(payment, office)
        except PROVIDER_TROUBLE:
            return
