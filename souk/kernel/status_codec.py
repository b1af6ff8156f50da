"""Encodes google.rpc.Status as bytes and decodes it: the form in which a refusal is sent and stored.

Source: google/rpc/status.proto.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from google.protobuf.any_pb2 import Any
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2


@dataclass(frozen=True, slots=True)
class DecodedStatus:
    """The text and the details of a status; details of types that this program does not know are left out."""

    text: str
    details: tuple[Message, ...]


def encode_status(
    code: int, text: str, details: Iterable[Message], fits: Callable[[status_pb2.Status], bool] = lambda status: True
) -> bytes:
    """Serialises a status, with the same bytes for the same content.

    A detail after the first is left out if the status with it does not fit, as `fits` tells.
    """
    status = status_pb2.Status(code=code, message=text)
    for detail in details:
        status.details.add().Pack(detail)
        if len(status.details) > 1 and not fits(status):
            del status.details[-1]
    return bytes(status.SerializeToString(deterministic=True))


def decode_status(raw: bytes) -> DecodedStatus:
    """Reads a serialised status. Raises DecodeError for bytes that are no status."""
    status = status_pb2.Status.FromString(raw)
    return DecodedStatus(
        status.message, tuple(found for each in status.details if (found := _unpack(each)) is not None)
    )


def _unpack(packed: Any) -> Message | None:
    try:
        kind = GetMessageClass(Default().FindMessageTypeByName(packed.TypeName()))
    except KeyError:
        return None
    message: Message = kind()
    return message if packed.Unpack(message) else None
