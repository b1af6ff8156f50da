"""Make the refunds that a charge was promised, for somebody who waits for them."""

from marketplace.payment.office import Office
from marketplace.payment.use_cases.settle import PROVIDER_TROUBLE, settle

from marketplace.payment.domain import Payment
from marketplace.payment.use_cases.outcomes import OutcomeUnknown


async def make_promised_refunds(payment: Payment, office: Office) -> Payment:
    """The payment with every promise kept.

    Raises OutcomeUnknown when the provider is in the way: the promise stands, and recovery keeps it.
    """
    if payment.promised == payment.refunded:
        return payment
    try:
        return await settle(payment, office)
    except PROVIDER_TROUBLE as error:
        raise OutcomeUnknown(str(error)) from error
