"""Encodes a DomainError as a google.rpc.Status, so that it can be stored and raised again.

Its gRPC code is not stored: the method's contract gives the code for the reason.
"""

from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2

from souk.kernel.errors import DomainError, StoreCorrupt
from souk.kernel.status_codec import decode_status, encode_status


def pack_refusal(error: DomainError) -> bytes:
    """Returns the bytes of a google.rpc.Status with the error's reason, detail and typed details."""
    return encode_status(
        code_pb2.UNKNOWN, error.detail, (error_details_pb2.ErrorInfo(reason=error.reason), *error.details)
    )


def unpack_refusal(status: bytes) -> DomainError:
    """Returns the error again; details of types that this program does not know are left out.

    Raises StoreCorrupt for bytes that are no status.
    """
    try:
        parsed = decode_status(status)
    except DecodeError as error:
        raise StoreCorrupt("a stored status cannot be read") from error
    reason = next((d.reason for d in parsed.details if isinstance(d, error_details_pb2.ErrorInfo)), "")
    others = (detail for detail in parsed.details if not isinstance(detail, error_details_pb2.ErrorInfo))
    return DomainError(reason, parsed.text, *others)
