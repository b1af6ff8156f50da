"""An event as JSON, and a payload that an operator wrote as JSON, checked against the event's contract."""

import base64
from operator import attrgetter
from typing import Any

from google.protobuf import json_format, symbol_database
from google.protobuf.message import DecodeError, Message
from soukapi.v1.event_pb2 import Event

from souk.descriptors.event_contract import event_of
from souk.descriptors.request_check import require_within_limits
from souk.events.parked_store import EventRecord, Parked, PastDecision
from souk.kernel.clock import to_datetime
from souk.kernel.errors import InvalidArgument
from souk.store.outbox import MAX_PAYLOAD


def shown(record: EventRecord) -> dict[str, Any]:
    """Gives an event as a JSON document, with whom it is parked for and what was decided about it.

    Its payload is the one that was published; a consumer for which it was edited has another beside it.
    """
    event = record.event
    return {
        "id": event.id,
        "type": event.type,
        "source": event.source,
        "key": event.key,
        "time": event.time.ToJsonString(),
        "trace_id": event.traceparent.split("-")[1] if event.traceparent.count("-") == 3 else "",
        **_payload(event),
        "parked": [_parked(one, event) for one in record.parked],
        "decisions": [_decision(one) for one in record.decisions],
    }


def payload_json(event: Event) -> str:
    """Gives the payload of an event as JSON to be edited; an empty object if it cannot be decoded.

    Raises ValueError if no installed contract has the event.
    """
    message = _message(event.type)()
    try:
        message.ParseFromString(event.payload)
    except DecodeError:
        message.Clear()
    return json_format.MessageToJson(message, preserving_proto_field_name=True) + "\n"


def payload_from(event: Event, text: str) -> bytes:
    """Reads JSON as another payload for an event.

    Raises ValueError, with what is wrong, for what is no JSON, has fields that the contract does not know, breaks one
    of its limits, is too long, or belongs to another key than the event.
    """
    try:
        message = json_format.Parse(text, _message(event.type)())
    except json_format.ParseError as error:
        raise ValueError(f"this is no {event.type}: {error}") from None
    try:
        require_within_limits(message)
    except InvalidArgument as error:
        raise ValueError(f"this is no {event.type}: {error}") from None
    contract = event_of(message.DESCRIPTOR)
    if contract is not None and attrgetter(contract.key)(message) != event.key:
        raise ValueError(f"{contract.key} must stay {event.key!r}: it is the key by which the event is kept in order")
    payload = message.SerializeToString()
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"the payload is {len(payload)} bytes long; the limit is {MAX_PAYLOAD}")
    return payload


def _message(type_name: str) -> type[Message]:
    try:
        found: type[Message] = symbol_database.Default().GetSymbol(type_name)
    except KeyError:
        raise ValueError(f"no installed contract has {type_name}") from None
    return found


def _payload(event: Event) -> dict[str, Any]:
    """Decodes a payload by its contract; one that cannot be is given in base64."""
    try:
        message = _message(event.type).FromString(event.payload)
        return {"payload": json_format.MessageToDict(message, preserving_proto_field_name=True)}
    except DecodeError:
        why = f"the payload is no {event.type}"
    except ValueError as error:
        why = str(error)
    return {"payload_base64": base64.b64encode(event.payload).decode(), "not_decoded": why}


def _parked(one: Parked, event: Event) -> dict[str, Any]:
    return {
        "consumer": one.consumer,
        "tries": one.failures,
        "reason": one.cause.reason,
        "digest": one.cause.digest,
        "location": one.cause.location,
        "since": _time(one.since),
        **(_payload(one.event) if one.event.payload != event.payload else {}),
    }


def _decision(one: PastDecision) -> dict[str, Any]:
    before = {} if one.before is None else {f"{name}_before": value for name, value in _payload(one.before).items()}
    about = {"consumer": one.consumer, "decision": one.word, "by": one.decision.by, "why": one.decision.why}
    return {**about, "at": _time(one.at), **before}


def _time(at: int) -> str:
    return to_datetime(at).strftime("%Y-%m-%dT%H:%M:%SZ")
