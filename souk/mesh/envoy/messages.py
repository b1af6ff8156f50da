"""Envoy's messages, built from plain dicts in the form of their JSON.

They are in a descriptor pool of their own, so that they meet neither the messages of contracts nor those that another
package brings, and the pool is filled when the first message is made: who runs no mesh pays nothing for it.
`envoy.binpb` is one FileDescriptorSet, made by `tools/envoy_messages.py`.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from souk.kernel.errors import ConfigurationError

DESCRIPTORS = Path(__file__).with_name("envoy.binpb")
TYPE_URL = "type.googleapis.com/"
_ANY = "google.protobuf.Any"


@cache
def pool() -> DescriptorPool:
    """Gives the pool of Envoy's messages, and reads their descriptors at the first call."""
    filled = DescriptorPool()
    for file in FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
        filled.Add(file)
    return filled


@cache
def message_class(name: str) -> type[Message]:
    """Gives the class of a message by its full name, such as `envoy.config.cluster.v3.Cluster`.

    Raises ConfigurationError when there is none of that name.
    """
    try:
        return GetMessageClass(pool().FindMessageTypeByName(name))
    except KeyError:
        raise ConfigurationError(f"Envoy has no message {name}, or tools/envoy_messages.py leaves it out") from None


def build(name: str, content: Mapping[str, Any]) -> Message:
    """Builds a message from the dict that its JSON would be; typed configuration has its type as `@type`.

    Raises ConfigurationError, with the path of the field, when the content is not of that message.
    """
    message = message_class(name)()
    try:
        json_format.ParseDict(dict(content), message, descriptor_pool=pool())
    except json_format.ParseError as error:
        (what, *_) = str(error).splitlines()  # the others list all fields that there are
        raise ConfigurationError(f"{name.rpartition('.')[2]} for Envoy: {what}") from None
    return message


def to_dict(message: Message) -> dict[str, Any]:
    """Gives a message as the dict that its JSON would be, with the names of fields as in the `.proto`."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=pool())


def serialise(message: Message) -> bytes:
    """Serialises a message so that equal content gives equal bytes, also in messages that are packed into others.

    What is packed is serialised once more where it stands, because maps in it have no order of their own.
    """
    _sort_maps(message)
    return message.SerializeToString(deterministic=True)


def _sort_maps(message: Message) -> None:
    if message.DESCRIPTOR.full_name == _ANY:
        packed: Any = message
        inner = message_class(packed.type_url.removeprefix(TYPE_URL)).FromString(packed.value)
        packed.value = serialise(inner)
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in _messages_in(value):
                _sort_maps(each)


def _messages_in(value: Any) -> Iterable[Message]:
    """Gives the messages of a field: it is one, or a list of them, or a map to them or to scalars."""
    if isinstance(value, Message):
        return (value,)
    values = value.values() if isinstance(value, Mapping) else value
    return [each for each in values if isinstance(each, Message)]
