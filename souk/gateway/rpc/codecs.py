"""How the messages of a call are written: as protobuf, or as JSON by protobuf's own mapping.

JSON here is the mapping that generated clients expect (protobuf.dev/programming-guides/json): integers of 64 bits are
written as strings. Unknown fields are refused, as they are in REST.
"""

from collections.abc import Callable
from typing import NamedTuple

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from souk.gateway.http.problem import invalid
from souk.kernel.errors import Violation

_DEEPEST = 64


class Codec(NamedTuple):
    """Reads a message of a type from octets, and writes one. `read` raises Problem 400."""

    name: str
    read: Callable[[type[Message], bytes], Message]
    write: Callable[[Message], bytes]


def _from_proto(kind: type[Message], octets: bytes) -> Message:
    try:
        return kind.FromString(octets)
    except DecodeError:
        raise invalid([Violation("request", f"cannot be read as {kind.DESCRIPTOR.full_name}")]) from None


def _from_json(kind: type[Message], octets: bytes) -> Message:
    try:
        return json_format.Parse(octets, kind(), max_recursion_depth=_DEEPEST)
    except (json_format.ParseError, ValueError, TypeError, RecursionError) as error:
        text = str(error).partition("\n")[0][:200]
        raise invalid([Violation("request", f"is no valid JSON of {kind.DESCRIPTOR.full_name}: {text}")]) from None


def _to_json(message: Message) -> bytes:
    return json_format.MessageToJson(message, indent=None, ensure_ascii=False).encode()


PROTO = Codec("proto", _from_proto, lambda message: bytes(message.SerializeToString()))
JSON = Codec("json", _from_json, _to_json)
CODECS = {codec.name: codec for codec in (PROTO, JSON)}
