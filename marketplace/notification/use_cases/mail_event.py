"""Mailing a buyer about an event."""

import logging
from dataclasses import dataclass

from marketplace.notification.deps import Deps
from marketplace.notification.domain import Letter, render
from marketplace.notification.templates import UnreadablePayloadError, draft
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

    Raises PoisonedEvent for an event without a template or with an unreadable payload: a retry would not help.
    """
    try:
        found = draft(command.type, command.payload)
    except UnreadablePayloadError as error:
        raise PoisonedEvent(str(error)) from None
    if found is None:
        raise PoisonedEvent(f"there is no template for {command.type[:200]}")
    contact = await deps.contacts.find(found.user_id)
    if contact is None:
        _log.info("nobody to write to about event %s: the account was deleted", command.id)
        return
    message = render(found.content, contact.name)
    await deps.postman.take(Letter(command.id, contact, message, command.time))
