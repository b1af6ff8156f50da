"""Browsers that show messages to a user, and their rules. No I/O."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from souk.sdk import DomainError, InvalidArgument, Violation

PUSH_SUBSCRIPTION_NOT_FOUND = "PUSH_SUBSCRIPTION_NOT_FOUND"
MOST_SUBSCRIPTIONS = 10
"""The most browsers that an account may have at once."""


@dataclass(frozen=True, slots=True)
class PushSubscription:
    """A browser that a user subscribed. `created_at` is in microseconds since 1970.

    `endpoint` is its address at a push service; `public_key` and `secret` are its keys in base64url.
    """

    id: str
    user_id: str
    endpoint: str = field(repr=False)
    public_key: str
    secret: str = field(repr=False)
    created_at: int

    @property
    def service(self) -> str:
        """The host of the browser's push service."""
        return urlsplit(self.endpoint).hostname or ""


def checked(subscription: PushSubscription) -> PushSubscription:
    """Returns the subscription; raises InvalidArgument when its keys are missing.

    Which push services are known is Notification's setting, and is not checked here.
    """
    if not subscription.public_key or not subscription.secret:
        raise InvalidArgument([Violation("keys", "are required: p256dh and auth, as the browser gave them")])
    return subscription


def unknown_subscription() -> DomainError:
    """Makes the refusal for a browser that is not subscribed, or not by this user; it does not say which."""
    return DomainError(PUSH_SUBSCRIPTION_NOT_FOUND, "the subscription does not exist")
