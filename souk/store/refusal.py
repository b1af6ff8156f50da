"""A DomainError as a google.rpc.Status, so that it can be stored and raised again.

Its gRPC code is not stored: the method's contract gives it for the reason, now as then.
"""

from collections.abc import Iterator

from google.protobuf import any_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from souk.kernel.errors import DomainError, StoreCorrupt


def pack_refusal(error: DomainError) -> bytes:
    """The bytes of a google.rpc.Status with the error's reason, detail and typed details."""
    status = status_pb2.Status(code=code_pb2.UNKNOWN, message=error.detail)
    for detail in (error_details_pb2.ErrorInfo(reason=error.reason), *error.details):
        status.details.add().Pack(detail)
    return bytes(status.SerializeToString(deterministic=True))


def unpack_refusal(status: bytes) -> DomainError:
    """The error again; details of types that this program does not know are left out."""
    try:
        parsed = status_pb2.Status.FromString(status)
    except DecodeError as error:
        raise StoreCorrupt("a stored status cannot be read") from error
    details = list(_messages(parsed))
    reason = next((d.reason for d in details if isinstance(d, error_details_pb2.ErrorInfo)), "")
    others = (detail for detail in details if not isinstance(detail, error_details_pb2.ErrorInfo))
    return DomainError(reason, parsed.message, *others)


def _messages(status: status_pb2.Status) -> Iterator[Message]:
    for packed in status.details:
        message = _unpack(packed)
        if message is not None:
            yield message


def _unpack(packed: any_pb2.Any) -> Message | None:
    try:
        found = descriptor_pool.Default().FindMessageTypeByName(packed.TypeName())
    except KeyError:
        return None
    message = message_factory.GetMessageClass(found)()
    return message if packed.Unpack(message) else None
