"""How a charge, a top-up or a refund ends for whoever asked."""

from math import ceil

from shop.payment.v1 import payment_pb2

from marketplace.payment.ports import ProviderUnavailable
from souk.sdk import DomainError, SoukError

RETRY_AFTER = 2.0
"""Seconds after which asking again is worth while, when nobody knows better."""


class OutcomeUnknown(SoukError):
    """It may have happened or not, or will: ask again with the same key. No refusal, so never a DomainError."""


def declined(reason: str) -> DomainError:
    """The refusal of a charge, for good."""
    return DomainError(
        "PAYMENT_DECLINED", f"the payment was declined: {reason}", payment_pb2.DeclineInfo(reason=reason)
    )


def unavailable(cause: ProviderUnavailable | None) -> DomainError:
    """The refusal of a charge that surely did not happen, and may be tried again."""
    detail = "the card provider is not available; nothing was charged"
    return DomainError("PAYMENT_UNAVAILABLE", detail, retry_after=(cause and cause.retry_after) or RETRY_AFTER)


def too_many_tries(seconds: float) -> DomainError:
    """The refusal of a try that the provider was not asked for: this customer's cards have failed too often."""
    detail = (
        f"too many of your payments failed; try again in {ceil(seconds)} s, or with another card; nothing was charged"
    )
    return DomainError("PAYMENT_UNAVAILABLE", detail, retry_after=float(ceil(seconds)))


def key_reused() -> DomainError:
    """The refusal of another request under a known key."""
    return DomainError("IDEMPOTENCY_KEY_REUSED", "this key was already used for another request")


def in_progress() -> DomainError:
    """The answer to a request that is recorded, and goes on."""
    detail = "the request is in progress; send it again with the same key"
    return DomainError("REQUEST_IN_PROGRESS", detail, retry_after=RETRY_AFTER)
