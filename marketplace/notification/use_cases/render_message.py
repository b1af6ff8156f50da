"""Showing a message without sending it."""

from dataclasses import dataclass

from marketplace.notification.domain import UNKNOWN_TEMPLATE, Rendered
from marketplace.notification.templates import UnreadablePayloadError, draft, write
from souk.sdk import DomainError, InvalidArgument, Violation


@dataclass(frozen=True, slots=True)
class RenderMessage:
    """Render the message about an event; `name` and `locale` are the reader's."""

    event_type: str
    payload: bytes
    name: str
    locale: str = ""


def render_message(command: RenderMessage) -> Rendered:
    """Renders the message; raises UNKNOWN_TEMPLATE, and InvalidArgument for an unreadable payload."""
    try:
        found = draft(command.event_type, command.payload)
    except UnreadablePayloadError as error:
        raise InvalidArgument([Violation("payload", str(error))]) from None
    if found is None:
        raise DomainError(UNKNOWN_TEMPLATE, f"there is no template for {command.event_type[:200]!r}")
    return write(found, command.locale, command.name)
