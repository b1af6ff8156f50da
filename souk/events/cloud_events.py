"""Events as CloudEvents 1.0: attributes beside the payload (binary mode), or everything in one JSON text.

Source: CloudEvents 1.0.2, with its bindings for Kafka and AMQP, its JSON format, and its extensions `partitionkey`
and "distributed tracing". The attribute `subject` and `partitionkey` are the event's key; `dataschema` names the
payload's message.
"""

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from soukapi.v1.event_pb2 import Event

CONTENT_TYPE = "application/protobuf"
SPEC_VERSION = "1.0"
JSON_TYPE = "application/cloudevents+json"
ATTRIBUTES = (
    "specversion",
    "id",
    "source",
    "type",
    "datacontenttype",
    "dataschema",
    "subject",
    "partitionkey",
    "time",
    "traceparent",
    "tracestate",
)
"""The attributes that an event of ours may have."""
_REQUIRED = ("specversion", "id", "source", "type")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - arithmetic without time zones is faster, and all times are UTC
_USUAL_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.(?:[0-9]{3}){1,2})?Z")


class NotAnEvent(ValueError):
    """A message that is no CloudEvent, or lacks an attribute that every event of ours has; its text says what."""


def attributes_of(event: Event) -> dict[str, str]:
    """Returns the attributes of an event by their CloudEvents names; those without a value are left out."""
    attributes = {
        "specversion": SPEC_VERSION,
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "datacontenttype": CONTENT_TYPE,
        "dataschema": event.type,
        "subject": event.key,
        "partitionkey": event.key,
        "time": _text(event.time) if event.HasField("time") else "",
        "traceparent": event.traceparent,
    }
    if event.tracestate:
        attributes["tracestate"] = event.tracestate
    if all(attributes.values()):
        return attributes
    return {name: value for name, value in attributes.items() if value}


def event_from(attributes: Mapping[str, str], payload: bytes) -> Event:
    """Returns the event with these attributes; unknown ones are ignored. Raises NotAnEvent."""
    for name in _REQUIRED:
        if not attributes.get(name):
            raise NotAnEvent(f"the attribute {name!r} is missing")
    if attributes["specversion"] != SPEC_VERSION:
        raise NotAnEvent(f"version {attributes['specversion'][:20]!r} of CloudEvents is not supported; 1.0 is")
    content = attributes.get("datacontenttype", CONTENT_TYPE)
    if content != CONTENT_TYPE:
        raise NotAnEvent(f"the payload is {content[:100]!r}; it must be {CONTENT_TYPE}")
    event = Event(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        key=attributes.get("partitionkey") or attributes.get("subject", ""),
        payload=payload,
        traceparent=attributes.get("traceparent", ""),
        tracestate=attributes.get("tracestate", ""),
    )
    if "time" in attributes:
        event.time.CopyFrom(_time(attributes["time"]))
    return event


def to_json(event: Event) -> str:
    """Returns the whole event as one JSON text, for brokers whose messages are text."""
    data = base64.b64encode(event.payload).decode()
    return json.dumps({**attributes_of(event), "data_base64": data}, separators=(",", ":"), ensure_ascii=False)


def from_json(text: str | bytes) -> Event:
    """Reads what `to_json` wrote. Raises NotAnEvent."""
    try:
        found = json.loads(text)
        payload = base64.b64decode(found.pop("data_base64", ""), validate=True)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise NotAnEvent("it is no CloudEvent in JSON") from error
    return event_from({name: value for name, value in found.items() if isinstance(value, str)}, payload)


def _text(time: Timestamp) -> str:
    """Does what `ToJsonString` does, which is Python and takes five times as long, for times of whole microseconds."""
    micros, rest = divmod(time.nanos, 1_000)
    if rest:
        return time.ToJsonString()
    try:
        at = _EPOCH + timedelta(seconds=time.seconds, microseconds=micros)
    except OverflowError:
        return time.ToJsonString()
    precision = "microseconds" if micros % 1_000 else "milliseconds" if micros else "seconds"
    return f"{at.isoformat(timespec=precision)}Z"


def _time(text: str) -> Timestamp:
    try:
        if _USUAL_TIME.fullmatch(text):
            since = datetime.fromisoformat(text[:-1]) - _EPOCH
            return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1_000)
        found = Timestamp()
        found.FromDatetime(datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None))
        found.FromJsonString(text)
    except (ValueError, OverflowError) as error:
        raise NotAnEvent(f"the time {text[:50]!r} is no RFC 3339 time") from error
    return found
