"""The errors with which a charge, a top-up or a refund ends for its caller."""

from math import ceil

from shop.payment.v1 import payment_pb2

from marketplace.payment.ports import ProviderUnavailable
from souk.sdk import DomainError, SoukError

RETRY_AFTER = 2.0
"""Seconds after which a retry makes sense, when the provider names no time."""


class OutcomeUnknown(SoukError):
    """It may have happened, may not, or may still happen: retry with the same key. No refusal, so no DomainError."""


def declined(reason: str) -> DomainError:
    """Makes the final refusal of a charge."""
    return DomainError(
        "PAYMENT_DECLINED", f"the payment was declined: {reason}", payment_pb2.DeclineInfo(reason=reason)
    )


def unavailable(cause: ProviderUnavailable | None) -> DomainError:
    """Makes the refusal of a charge that certainly did not happen, and may be tried again."""
    detail = "the card provider is not available; nothing was charged"
    return DomainError("PAYMENT_UNAVAILABLE", detail, retry_after=(cause and cause.retry_after) or RETRY_AFTER)


def too_many_tries(seconds: float) -> DomainError:
    """Makes the refusal of a try because the customer's cards have failed too often; the provider was not called."""
    detail = (
        f"too many of your payments failed; try again in {ceil(seconds)} s, or with another card; nothing was charged"
    )
    return DomainError("PAYMENT_UNAVAILABLE", detail, retry_after=float(ceil(seconds)))


def key_reused() -> DomainError:
    """Makes the refusal of another request under a known key."""
    return DomainError("IDEMPOTENCY_KEY_REUSED", "this key was already used for another request")


def in_progress() -> DomainError:
    """Makes the answer to a request that is recorded and goes on."""
    detail = "the request is in progress; send it again with the same key"
    return DomainError("REQUEST_IN_PROGRESS", detail, retry_after=RETRY_AFTER)
