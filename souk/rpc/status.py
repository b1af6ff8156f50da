"""Encodes and decodes refusals as google.rpc.Status with ErrorInfo, BadRequest and RetryInfo.

The encoded status is sent as metadata, and by default a gRPC peer accepts 8 KiB of that. Details that do not
fit are left out, the reason never. So a contract whose details are lists must limit the number of items and
the length of their names: 100 items of 55 octets fit.
Source: google/rpc/error_details.proto and gRPC's richer error model.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from souk.kernel.errors import DomainError, InvalidArgument
from souk.kernel.status_codec import decode_status, encode_status

STATUS_KEY = "grpc-status-details-bin"
_TEXT_LIMIT = 1_500  # octets as sent: a character may take twelve
_LIMIT = 7_800  # octets of text and status together, as sent; the rest of 8 KiB is for keys and other pairs
_VIOLATIONS = 25
_PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")  # what gRPC sends as it is


@dataclass(frozen=True, slots=True)
class StatusDetails:
    """The details of a status beyond code and text. `retry_after` is in seconds."""

    reason: str = ""
    domain: str = ""
    messages: tuple[Message, ...] = ()
    retry_after: float | None = None


NO_DETAILS = StatusDetails()


def shortened(text: str) -> str:
    """Shortens a status's text to fit into the metadata that carries it."""
    return text if len(quote(text, _PLAIN)) <= _TEXT_LIMIT else text[:120] + "..."


def encode(error: DomainError, code: grpc.StatusCode, domain: str) -> bytes:
    """Returns the serialised google.rpc.Status of a refusal."""
    return encode_status(code.value[0], shortened(error.detail), _messages(error, domain), _fits)


def _fits(status: status_pb2.Status) -> bool:
    # Peers other than Souk get the status in base64, which is a third larger.
    return bool(len(quote(status.message, _PLAIN)) + status.ByteSize() * 4 / 3 <= _LIMIT)


def _messages(error: DomainError, domain: str) -> Iterator[Message]:
    yield error_details_pb2.ErrorInfo(reason=error.reason, domain=domain)
    if error.retry_after is not None:
        info = error_details_pb2.RetryInfo()
        info.retry_delay.FromNanoseconds(round(error.retry_after * 1e9))
        yield info
    if isinstance(error, InvalidArgument):
        yield bad_request(error)
    yield from error.details


def bad_request(error: InvalidArgument) -> Message:
    """Makes the BadRequest for a wrong request, with no more violations than fit."""
    request: Message = error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field=violation.field, description=violation.detail[:100])
            for violation in error.violations[:_VIOLATIONS]
        ]
    )
    return request


def details_of(trailing: Iterable[tuple[str, str | bytes]]) -> StatusDetails:
    """Reads the details of a status from its trailing metadata; unreadable details count as none."""
    for key, value in trailing:
        if key == STATUS_KEY and isinstance(value, bytes):
            return decode(value)
    return NO_DETAILS


def decode(raw: bytes) -> StatusDetails:
    """Reads a serialised google.rpc.Status. Details of unknown types are skipped."""
    try:
        messages = decode_status(raw).details
    except DecodeError:
        return NO_DETAILS
    info = next((m for m in messages if isinstance(m, error_details_pb2.ErrorInfo)), error_details_pb2.ErrorInfo())
    delay = next((m.retry_delay for m in messages if isinstance(m, error_details_pb2.RetryInfo)), None)
    own = (error_details_pb2.ErrorInfo, error_details_pb2.RetryInfo)
    rest = tuple(message for message in messages if not isinstance(message, own))
    return StatusDetails(info.reason, info.domain, rest, None if delay is None else delay.ToNanoseconds() / 1e9)
