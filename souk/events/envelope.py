"""The envelope of an event, `soukapi.v1.Event`: source, type, key, time, and the encoded payload."""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from soukapi.v1.event_pb2 import Event

from souk.kernel.errors import PoisonedEvent
from souk.store.database import Row
from souk.telemetry.traces import carried_state, parse

__all__ = ["Event", "event_of", "tracestate_of", "unpack"]

_M = TypeVar("_M", bound=Message)


def event_of(row: Row) -> Event:
    """Returns the event in a row of the outbox."""
    event = Event(
        id=row["id"],
        type=row["type"],
        source=row["source"],
        key=row["key"],
        payload=row["payload"],
        traceparent=row["traceparent"],
        tracestate=row["tracestate"],
    )
    event.time.FromMicroseconds(row["time"])
    return event


def tracestate_of(event: Event) -> str:
    """Returns the `tracestate` of an event that has come, as it is passed on; empty if it or its trace is malformed."""
    given = event.tracestate
    return carried_state(given) if given and parse(event.traceparent) is not None else ""


def unpack(event: Event, kind: type[_M]) -> _M:
    """Decodes the payload as a message of `kind`. Raises PoisonedEvent when it is none."""
    if event.type != kind.DESCRIPTOR.full_name:
        raise PoisonedEvent(f"expected {kind.DESCRIPTOR.full_name}, got {event.type}")
    try:
        return kind.FromString(event.payload)
    except DecodeError as error:
        raise PoisonedEvent(f"the payload is no {event.type}") from error
