"""The consumer of events: it writes one mail for each."""

from collections.abc import Mapping
from functools import partial

from marketplace.notification.deps import Deps
from marketplace.notification.templates import TEMPLATES
from marketplace.notification.use_cases.mail_event import MailEvent, mail_event
from souk.sdk import Event, Handler, Subscription

MAILS = "mails"
SUBSCRIPTIONS = (Subscription(MAILS, tuple(TEMPLATES)),)


def consumers(deps: Deps) -> Mapping[str, Handler]:
    """Returns the handlers by the names of their consumers."""
    return {MAILS: partial(write_mail, deps)}


async def write_mail(deps: Deps, event: Event) -> None:
    """Writes the mail about an event; raises PoisonedEvent for one that no mail can be made of."""
    await mail_event(deps, MailEvent(event.id, event.type, event.payload, event.time.ToMicroseconds()))
