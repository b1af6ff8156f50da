"""Telling a buyer about an event in a text message."""

import logging
from dataclasses import dataclass

from marketplace.notification.deps import Deps
from marketplace.notification.domain import Sms
from marketplace.notification.ports import DeliveryPostponed
from marketplace.notification.templates import write_sms
from marketplace.notification.use_cases.mail_event import draft_of
from marketplace.notification.use_cases.send_message import POSTPONED, SUPPRESSED, send_message

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TextEvent:
    """Send the buyer a text message about an event."""

    id: str
    type: str
    payload: bytes


async def text_event(deps: Deps, command: TextEvent) -> None:
    """Sends a text message to a buyer who has given a number and has not unsubscribed, if there is a provider.

    Raises PoisonedEvent like `mail_event`, and DeliveryPostponed.
    """
    if deps.sms is None:
        return
    found = draft_of(command.type, command.payload)
    contact = await deps.contacts.find(found.user_id)
    if contact is None or not contact.phone:
        return
    if contact.unsubscribed:
        deps.count_sms(SUPPRESSED)
        return
    sms = Sms(command.id, contact.phone, write_sms(found, contact.locale))
    user = f"sms {found.user_id}"  # has a rate of its own
    if not deps.rate.take(user, deps.clock.monotonic()):
        deps.count_sms(POSTPONED)
        raise DeliveryPostponed("this reader has got many text messages just now")
    try:
        gone = await send_message(deps.sms.send(sms), deps.count_sms)
    except BaseException:
        deps.rate.give_back(user)
        raise
    if gone:
        _log.warning("no text message about event %s, as its number cannot get one: %s", sms.id, gone)
