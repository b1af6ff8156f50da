"""Events as messages of Kafka: the CloudEvents Kafka binding, binary mode.

Source: "Kafka Protocol Binding for CloudEvents" 1.0.2.
"""

from collections.abc import Sequence

from soukapi.v1.event_pb2 import Event

from souk.events.cloud_events import ATTRIBUTES, NotAnEvent, attributes_of, event_from

Headers = Sequence[tuple[str, bytes | None]]
KnownHeaders = list[tuple[str, bytes]]
_PREFIX = "ce_"
_CONTENT_TYPE = "content-type"
_BATCH_OVERHEAD = 61
_RECORD_OVERHEAD = 36
_HEADER_OVERHEAD = 10
"""Upper bounds in octets of what Kafka's format of a batch adds: around it, for a record, for a header."""


_HEADER_OF = {name: _CONTENT_TYPE if name == "datacontenttype" else _PREFIX + name for name in ATTRIBUTES}
_ATTRIBUTE_OF = {header: name for name, header in _HEADER_OF.items()}


def headers_of(event: Event) -> KnownHeaders:
    """Returns the headers of the message of an event."""
    return [(_HEADER_OF[name], value.encode()) for name, value in attributes_of(event).items()]


def size_of(event: Event, headers: Sequence[tuple[str, bytes]]) -> int:
    """Returns the most octets that an event takes in a batch of its own."""
    described = sum(len(name) + len(value) + _HEADER_OVERHEAD for name, value in headers)
    return _BATCH_OVERHEAD + _RECORD_OVERHEAD + len(event.key.encode()) + len(event.payload) + described


def event_of_message(headers: Headers | None, payload: bytes | None) -> Event:
    """Returns the event in a message. Raises NotAnEvent."""
    attributes: dict[str, str] = {}
    for name, value in headers or ():
        # Attributes that we do not know are extensions, which mean nothing to us.
        if (attribute := _ATTRIBUTE_OF.get(name)) is not None:
            attributes[attribute] = _text(name, value)
    return event_from(attributes, payload or b"")


def type_of(headers: Headers | None) -> str:
    """Returns the type of the event in a message, which need not be one."""
    for name, value in headers or ():
        if name == "ce_type":
            return (value or b"").decode(errors="replace")
    return ""


def unreadable(source: str, key: bytes | None, payload: bytes | None) -> Event:
    """Returns a message that is no CloudEvent as an event without a type, so that its handler can park it.

    `source` says where it is: topic/partition/offset. It is the same for every delivery.
    """
    return Event(id=source, key=(key or b"").decode(errors="backslashreplace"), payload=payload or b"")


def _text(name: str, value: bytes | None) -> str:
    try:
        return (value or b"").decode()
    except UnicodeDecodeError:
        raise NotAnEvent(f"the header {name[:50]!r} is not UTF-8") from None
