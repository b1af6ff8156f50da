"""Reads what contracts say about events: their keys, their needs, how long they are of use, and who may hear them.

An event is a message with the option `soukapi.v1.event`, in the package of the service that publishes it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from operator import attrgetter

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, FileDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from soukapi.v1 import policy_pb2

from souk.descriptors.contract import ANY_SERVICE

_VERSION = re.compile(r"\.v[0-9]+[a-z0-9]*$")


class Need(IntEnum):
    """What an event needs of whatever carries it."""

    ORDER_PER_KEY = policy_pb2.EVENT_NEED_ORDER_PER_KEY
    """Events of one key reach each consumer in the order in which they were published."""
    AT_LEAST_ONCE = policy_pb2.EVENT_NEED_AT_LEAST_ONCE
    """Each consumer gets it once or more often, and never not at all."""


@dataclass(frozen=True, slots=True, eq=False)
class EventContract:
    """What a contract says about one event; `retention` is in seconds, `key` the path of a field, such as "order.id".

    A relay keeps an event that everyone has handled for its retention, and deletes it then.
    """

    message: Descriptor
    key: str
    needs: frozenset[Need]
    retention: float
    subscribers: frozenset[str]

    @property
    def name(self) -> str:
        """The full name of its type, such as "shop.order.v1.OrderConfirmed"."""
        return self.message.full_name

    def may_hear(self, service: str) -> bool:
        """Returns whether the service may subscribe to it."""
        return bool(self.subscribers & {service, ANY_SERVICE})


def topic_of(type_name: str) -> str:
    """Returns the topic of a type of events: its package without a version, such as "shop.order".

    All events of a contract share a topic, also those of a later version, so that those of one key stay in order.
    """
    return _VERSION.sub("", type_name.rpartition(".")[0]) or type_name


@cache
def event_of(message: Descriptor) -> EventContract | None:
    """Reads the contract of an event; None for a message that is no event.

    Raises ValueError, with what is wrong, when the contract does not say what each event has to.
    """
    # A foreign descriptor may be in a pool of its own, which does not know Souk's extensions.
    options = descriptor_pb2.MessageOptions.FromString(message.GetOptions().SerializeToString())
    if not options.HasExtension(policy_pb2.event):
        return None
    policy = options.Extensions[policy_pb2.event]
    if wrong := _wrong(message, policy):
        raise ValueError(f"the event {message.full_name} {wrong} in its option (soukapi.v1.event)")
    return EventContract(
        message,
        policy.key,
        frozenset(Need(need) for need in policy.needs),
        policy.retention.seconds + policy.retention.nanos / 1e9,
        frozenset(policy.subscribers),
    )


@cache
def events_of(service: ServiceDescriptor) -> Mapping[str, EventContract]:
    """Returns the events that a service publishes, by their full names: those in its package, in any of its files.

    A file counts if the service's own file imports it, directly or through others. Raises ValueError like `event_of`.
    """
    topic = topic_of(service.full_name)
    files = {file.name: file for file in _files(service.file) if topic_of(f"{file.package}.M") == topic}
    messages = (message for file in files.values() for message in file.message_types_by_name.values())
    return {message.full_name: event for message in messages if (event := event_of(message)) is not None}


def require_event(payload: Message, key: str, service: ServiceDescriptor) -> None:
    """Checks what a service publishes.

    Raises ValueError, with what to do, for what is no event of its contract, and for another key than the contract's.
    """
    message = payload.DESCRIPTOR
    event = event_of(message)
    if event is None:
        raise ValueError(
            f"{message.full_name} is no event, so it cannot be published: give it the option (soukapi.v1.event)"
        )
    if topic_of(message.full_name) != topic_of(service.full_name):
        raise ValueError(
            f"{message.full_name} is an event of another service than {service.full_name}: "
            "a service publishes what is in the package of its own contract"
        )
    if attrgetter(event.key)(payload) != key:
        raise ValueError(
            f"{message.full_name} is published with another key than its {event.key}, as its contract says"
        )


def _files(file: FileDescriptor) -> Iterator[FileDescriptor]:
    yield file
    for needed in file.dependencies:
        yield from _files(needed)


def _wrong(message: Descriptor, policy: policy_pb2.EventPolicy) -> str:
    if not _is_text(message, policy.key):
        return f"has the key {policy.key!r}, which names no text field: give it one, like order.id,"
    if not policy.needs or policy_pb2.EVENT_NEED_UNSPECIFIED in policy.needs:
        return "does not say what it needs: give it needs, like EVENT_NEED_AT_LEAST_ONCE,"
    if policy.retention.ToTimedelta().total_seconds() <= 0:
        return "does not say how long it is of use: give it a retention"
    if not policy.subscribers:
        return 'names nobody who may hear it: give it subscribers, or "*" for every service,'
    return ""


def _is_text(message: Descriptor, path: str) -> bool:
    name, _, rest = path.partition(".")
    field = message.fields_by_name.get(name)
    if field is None or field.is_repeated:
        return False
    if rest:
        return field.message_type is not None and _is_text(field.message_type, rest)
    return bool(field.type == field.TYPE_STRING)
