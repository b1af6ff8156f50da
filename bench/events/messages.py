"""The events that are sent: all of one size, over many keys, each with a name of its run and number in its payload."""

import time
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from soukapi.v1.event_pb2 import Event

from souk.events.relay import RelaySettings

SIZE = 200
KEYS = 200
SERVICE, CONSUMER = "bench", "all"
GROUP = f"{SERVICE}/{CONSUMER}"
BATCH = RelaySettings().broker_batch
"""How many events the bare clients publish at once: as many as a relay."""
_HEAD = 3
"""Octets of an encoded payload before its text."""
_NAME = 16
_RUN = 8


def type_of(topic: str) -> str:
    """Gives the type of the events of a topic; each way has a topic of its own."""
    return f"{topic}.Happened"


@cache
def _kind(topic: str) -> Any:
    file = FileDescriptorProto(name=f"{topic}.proto", package=topic, syntax="proto3")
    message = file.message_type.add(name="Happened")
    message.field.add(name="value", number=1, type=FieldDescriptorProto.TYPE_BYTES)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(type_of(topic)))


def name_of(run: str, number: int) -> str:
    """Gives the name of an event: eight characters of the run, eight of the number."""
    return f"{run:<{_RUN}}{number:0{_NAME - _RUN}}"


def key_of(number: int) -> str:
    """Gives the key of an event."""
    return f"key-{number % KEYS}"


def payload_of(topic: str, run: str, number: int) -> Message:
    """Makes the payload of an event."""
    made: Message = _kind(topic)(value=name_of(run, number).encode().ljust(SIZE, b"."))
    return made


def events(topic: str, run: str, numbers: range) -> list[Event]:
    """Makes events as a relay takes them out of an outbox."""
    return [_event(topic, run, number) for number in numbers]


def _event(topic: str, run: str, number: int) -> Event:
    event = Event(
        id=f"EVT-{name_of(run, number)}",
        type=type_of(topic),
        source="source",
        key=key_of(number),
        payload=payload_of(topic, run, number).SerializeToString(),
        traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
    )
    event.time.FromMicroseconds(1_764_000_000_123_456)
    return event


def batches(found: Sequence[Event]) -> list[Sequence[Event]]:
    """Cuts events into what is published at once."""
    return [found[start : start + BATCH] for start in range(0, len(found), BATCH)]


class Handled:
    """When each event was handled for the first time, by its name, in seconds of the monotonic clock.

    All processes of a machine have the same monotonic clock.
    """

    def __init__(self) -> None:
        self.times: dict[bytes, float] = {}
        self.runs = Counter[bytes]()
        self.cpu = 0.0
        """Seconds of CPU of this process when the first event was handled."""

    def note(self, payload: bytes) -> None:
        """Notes the event with this payload."""
        name = payload[_HEAD : _HEAD + _NAME]
        if not self.times:
            self.cpu = time.process_time()
        if name not in self.times:
            self.times[name] = time.monotonic()
            self.runs[name[:_RUN]] += 1

    def of(self, run: str) -> int:
        """Gives how many events of a run were handled."""
        return self.runs[f"{run:<{_RUN}}".encode()]

    def by_number(self, run: str) -> dict[int, float]:
        """Gives the times of a run's events by their numbers."""
        start = f"{run:<{_RUN}}".encode()
        return {int(name[_RUN:]): at for name, at in self.times.items() if name.startswith(start)}
