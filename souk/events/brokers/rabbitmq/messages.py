"""Events as messages of RabbitMQ: the CloudEvents AMQP binding, binary mode.

Source: "AMQP Protocol Binding for CloudEvents" 1.0.2. AMQP 0.9.1 has headers where AMQP 1.0 has application
properties.
"""

from hashlib import sha256
from typing import cast

from aiormq import spec
from aiormq.abc import DeliveredMessage, FieldTable
from soukapi.v1.event_pb2 import Event

from souk.events.cloud_events import CONTENT_TYPE, NotAnEvent, attributes_of, event_from

_PREFIXES = ("cloudEvents:", "cloudEvents_")
_PERSISTENT = 2
LARGEST = 1 << 20
"""The most octets of payload: a consumer has a bounded number of events in hand, whatever their size."""
_HEADERS = 96 << 10
"""The most octets of attributes: all of them must be in one frame, of 128 KiB."""


def properties_of(event: Event) -> spec.Basic.Properties:
    """Returns the properties of the message of an event.

    It has no message id: the client makes one, by which it recognises a message that comes back. An event's id would
    not do, because an event may be on its way twice.
    """
    attributes = attributes_of(event)
    attributes.pop("datacontenttype")
    headers: FieldTable = {_PREFIXES[0] + name: value for name, value in attributes.items()}
    return spec.Basic.Properties(content_type=CONTENT_TYPE, delivery_mode=_PERSISTENT, headers=headers)


def poison(event: Event, largest: int) -> str:
    """Returns why no message can have this event; empty if one can."""
    if len(event.payload) > largest:
        return f"its payload is {len(event.payload)} octets, and the most is {largest}"
    octets = sum(len(name) + len(value.encode()) for name, value in attributes_of(event).items())
    if octets > _HEADERS:
        return f"its attributes are {octets} octets, and the most is {_HEADERS}"
    return ""


def event_of_message(message: DeliveredMessage) -> Event:
    """Returns the event in a message. Raises NotAnEvent."""
    properties = message.header.properties
    attributes: dict[str, str] = {}
    for name, value in cast(FieldTable, properties.headers or {}).items():
        if name.startswith(_PREFIXES):
            if not isinstance(value, str):
                raise NotAnEvent(f"the header {name[:50]!r} is no text")
            attributes[name[len(_PREFIXES[0]) :]] = value
    if properties.content_type:
        attributes["datacontenttype"] = properties.content_type
    return event_from(attributes, message.body)


def unreadable(queue: str, message: DeliveredMessage) -> Event:
    """Returns a message that is no CloudEvent as an event without a type, so that its handler can park it.

    Its id comes from the payload, and is the same for every delivery.
    """
    return Event(id=f"{queue}/{sha256(message.body).hexdigest()[:32]}", payload=message.body)
