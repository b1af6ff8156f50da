"""The dependencies of Notification's use cases, put together once by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cachetools import LRUCache

from marketplace.notification.domain import MailRate, Push
from marketplace.notification.ports import Contacts, Postman, PushSender, SmsSender
from souk.sdk import Clock

_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Pushing:
    """The sender of messages to browsers, and the public key that browsers subscribe with.

    It remembers what was sent last, so that an event that one browser has not got is not sent again to the others.
    `count` counts a message by its outcome.
    """

    sender: PushSender
    public_key: str
    count: Callable[[str], None]
    _done: LRUCache[tuple[str, str], None] = field(default_factory=lambda: LRUCache(_REMEMBERED))

    def is_done(self, push: Push) -> bool:
        """Tells whether the browser has got the event's message from this process."""
        return (push.id, push.to.endpoint) in self._done

    def done(self, push: Push) -> None:
        """Remembers that the browser has got the event's message."""
        self._done[push.id, push.to.endpoint] = None


@dataclass(frozen=True, slots=True)
class Deps:
    """The ports that the use cases call, the rate of mails to each user, and the clock.

    `count` counts a mail by its outcome, and `count_sms` a text message; `sms` is None when none are sent. `public_url`
    is where readers reach the gateway, empty if that is not known. `pushing` is None when no messages go to browsers.
    """

    contacts: Contacts
    postman: Postman
    count: Callable[[str], None]
    rate: MailRate
    clock: Clock
    public_url: str = ""
    sms: SmsSender | None = None
    count_sms: Callable[[str], None] = lambda outcome: None
    pushing: Pushing | None = None
