"""Which parked events an operator means, and how one is shown."""

import base64
import os
import pwd
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format, symbol_database
from google.protobuf.message import DecodeError
from soukapi.v1.event_pb2 import Event

from souk.admin.parked import ParkedEvent
from souk.events.parked_store import Parked
from souk.kernel.clock import MICROSECONDS, Clock, to_datetime

_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


@dataclass(frozen=True, slots=True)
class ParkedFilter:
    """What is wanted of parked events; what is empty says nothing. `older` is in seconds."""

    service: str = ""
    consumer: str = ""
    type_name: str = ""
    why_parked: str = ""
    older: float = 0.0

    def takes(self, one: ParkedEvent, now: int) -> bool:
        """Tells whether an event is wanted at the time `now`, in microseconds."""
        return (
            self.service in ("", one.service)
            and self.consumer in ("", one.consumer)
            and (not self.type_name or f".{one.type}".endswith(f".{self.type_name}"))
            and self.why_parked.casefold() in one.reason.casefold()
            and now - one.since >= self.older * MICROSECONDS
        )


def filtered(them: Iterable[ParkedEvent], wanted: ParkedFilter, clock: Clock) -> list[ParkedEvent]:
    """Gives the events that are wanted."""
    now = clock.now()
    return [one for one in them if wanted.takes(one, now)]


def seconds_of(text: str) -> float | None:
    """Reads a time such as 90s, 10m, 2h or 7d; None if it is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    return float(found[1]) * _UNITS[found[2]] if found else None


def user() -> str:
    """Gives the name of the user of the operating system who runs this program."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"


def shown(them: Sequence[Parked]) -> dict[str, Any]:
    """Gives an event, parked for one or more consumers, as a JSON document."""
    event = them[0].event
    return {
        "id": event.id,
        "type": event.type,
        "source": event.source,
        "key": event.key,
        "time": event.time.ToJsonString(),
        "trace_id": event.traceparent.split("-")[1] if event.traceparent.count("-") == 3 else "",
        **_payload(event),
        "parked": [
            {
                "consumer": one.consumer,
                "tries": one.failures,
                "reason": one.cause.reason,
                "digest": one.cause.digest,
                "location": one.cause.location,
                "since": to_datetime(one.since).strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            for one in them
        ],
    }


def _payload(event: Event) -> dict[str, Any]:
    """Decodes a payload by its contract; one that cannot be is given in base64."""
    try:
        message = symbol_database.Default().GetSymbol(event.type).FromString(event.payload)
        return {"payload": json_format.MessageToDict(message, preserving_proto_field_name=True)}
    except KeyError:
        why = f"no installed contract has {event.type}"
    except DecodeError:
        why = f"the payload is no {event.type}"
    return {"payload_base64": base64.b64encode(event.payload).decode(), "not_decoded": why}
