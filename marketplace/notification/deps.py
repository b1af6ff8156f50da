"""The dependencies of Notification's use cases, put together once by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass

from marketplace.notification.domain import MailRate
from marketplace.notification.ports import Contacts, Postman, SmsSender
from souk.sdk import Clock


@dataclass(frozen=True, slots=True)
class Deps:
    """The ports that the use cases call, the rate of mails to each user, and the clock.

    `count` counts a mail by its outcome, and `count_sms` a text message; `sms` is None when none are sent. `public_url`
    is where readers reach the gateway, empty if that is not known.
    """

    contacts: Contacts
    postman: Postman
    count: Callable[[str], None]
    rate: MailRate
    clock: Clock
    public_url: str = ""
    sms: SmsSender | None = None
    count_sms: Callable[[str], None] = lambda outcome: None
