"""Mailing a buyer about an event."""

import logging
from dataclasses import dataclass
from urllib.parse import quote

from marketplace.notification.deps import Deps
from marketplace.notification.domain import Contact, Letter
from marketplace.notification.ports import DeliveryPostponed
from marketplace.notification.templates import Draft, UnreadablePayloadError, draft, write
from marketplace.notification.use_cases.send_message import POSTPONED, SUPPRESSED, send_message
from souk.sdk import PoisonedEvent

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MailEvent:
    """Mail the buyer about an event; `time` is in microseconds since 1970."""

    id: str
    type: str
    payload: bytes
    time: int


async def mail_event(deps: Deps, command: MailEvent) -> None:
    """Gives a letter about the event to the postman, unless the buyer's account was deleted.

    Raises PoisonedEvent for an event without a template or with an unreadable payload, and for a mail that is refused:
    a retry would not help.
    """
    found = draft_of(command.type, command.payload)
    contact = await deps.contacts.find(found.user_id)
    if contact is None:
        _log.info("nobody to write to about event %s: the account was deleted", command.id)
        return
    if contact.unsubscribed and not found.template.essential:
        deps.count(SUPPRESSED)
        _log.info("no mail about event %s: the reader has unsubscribed", command.id)
        return
    letter = Letter(
        id=command.id,
        to=contact,
        message=write(found, contact.locale, contact.name),
        written_at=command.time,
        unsubscribe="" if found.template.essential else _way_out(deps, contact),
    )
    await _send_at_rate(deps, found.user_id, letter)


def draft_of(event_type: str, payload: bytes) -> Draft:
    """Reads an event; raises PoisonedEvent for one without a template or with an unreadable payload."""
    try:
        found = draft(event_type, payload)
    except UnreadablePayloadError as error:
        raise PoisonedEvent(str(error)) from None
    if found is None:
        raise PoisonedEvent(f"there is no template for {event_type[:200]}")
    return found


def _way_out(deps: Deps, contact: Contact) -> str:
    """Returns the link that unsubscribes; empty when there is no address of the gateway, or no token."""
    if not deps.public_url or not contact.unsubscribe_token:
        return ""
    return f"{deps.public_url}/api/v1/unsubscribe/{quote(contact.unsubscribe_token)}"


async def _send_at_rate(deps: Deps, user_id: str, letter: Letter) -> None:
    if not deps.rate.take(user_id, deps.clock.monotonic()):
        deps.count(POSTPONED)
        raise DeliveryPostponed("this reader has got many mails just now")
    try:
        gone = await send_message(deps.postman.take(letter), deps.count)
    except BaseException:
        deps.rate.give_back(user_id)
        raise
    if gone:
        _log.warning("the mail about event %s is not sent, as its address does not exist: %s", letter.id, gone)
