"""Telling a buyer about an event in a message that browsers show."""

import asyncio
import logging
from dataclasses import dataclass

from marketplace.notification.deps import Deps, Pushing
from marketplace.notification.domain import Push
from marketplace.notification.ports import DeliveryPostponed, RecipientGone
from marketplace.notification.templates import write_push
from marketplace.notification.use_cases.mail_event import draft_of
from marketplace.notification.use_cases.send_message import POSTPONED, SUPPRESSED, send_message
from souk.sdk import PoisonedEvent

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PushEvent:
    """Send a message about an event to the buyer's browsers."""

    id: str
    type: str
    payload: bytes


async def push_event(deps: Deps, command: PushEvent) -> None:
    """Sends a message to each browser of a buyer who has not unsubscribed, if a key is set.

    Each browser gets it by itself: one whose push service is away does not keep it from the others. Raises
    PoisonedEvent like `mail_event`, and what makes it necessary to send again to a browser that has not got it.
    """
    if deps.pushing is None:
        return
    found = draft_of(command.type, command.payload)
    contact = await deps.contacts.find(found.user_id, with_browsers=True)
    if contact is None or not contact.browsers:
        return
    if contact.unsubscribed:
        deps.pushing.count(SUPPRESSED)
        return
    user = f"push {found.user_id}"  # has a rate of its own
    if not deps.rate.take(user, deps.clock.monotonic()):
        deps.pushing.count(POSTPONED)
        raise DeliveryPostponed("this reader has got many messages just now")
    content = write_push(found, contact.locale, command.id)
    sending = (_send(deps, deps.pushing, found.user_id, Push(command.id, to, content)) for to in contact.browsers)
    failed = [end for end in await asyncio.gather(*sending, return_exceptions=True) if end is not None]
    if failed:
        # A refusal is final: it is raised only when nothing else is left to send.
        raise next((end for end in failed if not isinstance(end, PoisonedEvent)), failed[0])


async def _send(deps: Deps, pushing: Pushing, user_id: str, push: Push) -> None:
    """Sends to one browser, unless this process has done that before, and counts how it ended."""
    if pushing.is_done(push):
        return
    await send_message(_send_or_forget(deps, pushing, user_id, push), pushing.count)
    pushing.done(push)


async def _send_or_forget(deps: Deps, pushing: Pushing, user_id: str, push: Push) -> None:
    """Sends to a browser, and forgets one that is gone before that is raised.

    While it cannot be forgotten that failure is raised: the message is postponed, and not yet suppressed.
    """
    try:
        await pushing.sender.send(push)
    except RecipientGone as gone:
        _log.info("no message about event %s to a browser that is gone: %s", push.id, gone)
        await deps.contacts.forget_browser(user_id, push.to.endpoint)
        raise
