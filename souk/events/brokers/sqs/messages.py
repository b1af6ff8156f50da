"""Events as messages of SQS: CloudEvents in their JSON format, because a message is a text."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from soukapi.v1.event_pb2 import Event

from souk.events.cloud_events import NotAnEvent, from_json, to_json
from souk.telemetry.logs import logger

if TYPE_CHECKING:
    from types_aiobotocore_sqs.type_defs import MessageTypeDef

_log = logger("events")
_AT_ONCE = 10
"""The most messages of a request."""
_ATTRIBUTES = 16 << 10
"""Bytes of a message that are left for an event's attributes when `payload_of` says how large its payload may be."""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """An event as it is sent: `number` is its place in the list that is published."""

    number: int
    group: str
    body: str
    deduplication: str

    @property
    def size(self) -> int:
        """Bytes of it that count for the broker's limit."""
        return len(self.body.encode())


def body_of(event: Event) -> str:
    """Returns the text of an event's message. Two characters that SQS refuses are written as escapes."""
    return to_json(event).replace("\ufffe", r"\ufffe").replace("\uffff", r"\uffff")


def payload_of(limit: int) -> int:
    """Returns the most bytes of payload that a message of `limit` bytes is sure to have room for."""
    return max(0, (limit - _ATTRIBUTES) // 4 * 3)


def poison(event: Event, body: str, limit: int) -> str:
    """Returns why no message of `limit` bytes can have this event; empty if one can."""
    if len(event.payload) > payload_of(limit):
        return f"its payload is {len(event.payload)} bytes, and the most is {payload_of(limit)}"
    if (size := len(body.encode())) > limit:
        return f"it takes {size} bytes, and the most is {limit}"
    return ""


def requests_of(messages: Iterable[OutgoingMessage], limit: int) -> Iterator[list[OutgoingMessage]]:
    """Divides messages among requests, each of at most ten messages and `limit` bytes."""
    found: list[OutgoingMessage] = []
    size = 0
    for message in messages:
        if found and (len(found) == _AT_ONCE or size + message.size > limit):
            yield found
            found, size = [], 0
        found.append(message)
        size += message.size
    if found:
        yield found


def group_of(message: "MessageTypeDef") -> str:
    """Returns the message group of a received message."""
    return message.get("Attributes", {}).get("MessageGroupId", "")


def event_of_message(message: "MessageTypeDef") -> Event:
    """Returns the event in a received message; what is no event becomes one without a type.

    So its handler can park it. Its id is that of the message, and is the same for every delivery.
    """
    body = message.get("Body", "")
    try:
        return from_json(body)
    except NotAnEvent as error:
        _log.warning("a message is no event", message_id=message.get("MessageId", ""), reason=str(error))
        return Event(id=message.get("MessageId", ""), payload=body.encode())
