"""The consumers of events: a mail about each; a text message, and a message to browsers, about what is no matter of
money."""

from collections.abc import Mapping
from functools import partial

from marketplace.notification.deps import Deps
from marketplace.notification.templates import SHORT_TYPES, TEMPLATES
from marketplace.notification.use_cases.mail_event import MailEvent, mail_event
from marketplace.notification.use_cases.push_event import PushEvent, push_event
from marketplace.notification.use_cases.text_event import TextEvent, text_event
from souk.sdk import Event, Handler, Subscription

MAILS = "mails"
TEXTS = "texts"
PUSHES = "pushes"
SUBSCRIPTIONS = (
    Subscription(MAILS, tuple(TEMPLATES)),
    Subscription(TEXTS, SHORT_TYPES),
    Subscription(PUSHES, SHORT_TYPES),
)


def consumers(deps: Deps) -> Mapping[str, Handler]:
    """Returns the handlers by the names of their consumers."""
    return {MAILS: partial(write_mail, deps), TEXTS: partial(send_sms, deps), PUSHES: partial(send_push, deps)}


async def write_mail(deps: Deps, event: Event) -> None:
    """Writes the mail about an event; raises PoisonedEvent for one that no mail can be made of."""
    await mail_event(deps, MailEvent(event.id, event.type, event.payload, event.time.ToMicroseconds()))


async def send_sms(deps: Deps, event: Event) -> None:
    """Sends the text message about an event; raises PoisonedEvent for one that none can be made of."""
    await text_event(deps, TextEvent(event.id, event.type, event.payload))


async def send_push(deps: Deps, event: Event) -> None:
    """Sends the message to browsers about an event; raises PoisonedEvent for one that none can be made of."""
    await push_event(deps, PushEvent(event.id, event.type, event.payload))
