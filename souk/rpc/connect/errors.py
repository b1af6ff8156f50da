"""Translates a status to Connect's JSON error, and back.

google.rpc.Status is sent as the error's details. One that they cannot express exactly (its code or text differs
from the call's, or it names its types in another way) is sent in the trailing metadata as well.

The tables give the names of Connect's codes, the HTTP status of each, and the code for an HTTP status alone.
Source: connectrpc.com/docs/protocol, "Error Codes" and "HTTP to Error Code".
"""

from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import grpc
import orjson
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from souk.rpc.call import Pairs, Status
from souk.rpc.connect.headers import unpacked
from souk.rpc.status import STATUS_KEY

_TYPES = "type.googleapis.com/"


def encode(status: Status) -> tuple[bytes, Pairs]:
    """Returns the body of a failed call's answer, and the trailing metadata to send with it."""
    error: dict[str, Any] = {"code": NAMES[status.code]}
    if status.details:
        error["message"] = status.details.encode(errors="replace").decode()
    raw = next((value for key, value in status.trailing if key == STATUS_KEY and isinstance(value, bytes)), b"")
    if not raw:
        return orjson.dumps(error), status.trailing
    details = error["details"] = _shown(raw)
    body = orjson.dumps(error)
    if details and _status(status.code, status.details, details) == raw:
        return body, tuple(pair for pair in status.trailing if pair[0] != STATUS_KEY)
    return body, status.trailing


def decode(http_status: int, body: bytes, trailing: Pairs) -> Status:
    """Reads the status of an answer that is not 200. The HTTP status fills in what the body leaves out."""
    error = _error(body)
    named = error.get("code")
    code = (BY_NAME.get(named) if isinstance(named, str) else None) or inferred(http_status)
    text = error.get("message", "" if error else f"HTTP status {http_status}")
    message = text if isinstance(text, str) else ""
    details = error.get("details")
    if details and not any(key == STATUS_KEY for key, _ in trailing):
        # As with any status that cannot be read: the error then has no details.
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            trailing = (*trailing, (STATUS_KEY, _status(code, message, details)))
    return Status(code, message, trailing)


def _error(body: bytes) -> dict[str, Any]:
    try:
        error = orjson.loads(body)
    except ValueError:
        return {}
    return error if isinstance(error, dict) else {}


def _shown(raw: bytes) -> list[dict[str, str]]:
    try:
        details = status_pb2.Status.FromString(raw).details
    except DecodeError:
        return []
    return [
        {"type": each.type_url.rpartition("/")[2], "value": b64encode(each.value).decode().rstrip("=")}
        for each in details
    ]


def _status(code: grpc.StatusCode, message: str, details: list[dict[str, str]]) -> bytes:
    status = status_pb2.Status(code=code.value[0], message=message)
    for each in details:
        status.details.add(type_url=_TYPES + each["type"], value=unpacked(each["value"].encode()))
    return bytes(status.SerializeToString())


_Code = grpc.StatusCode

HTTP_STATUS: Mapping[grpc.StatusCode, int] = {
    _Code.CANCELLED: 499,
    _Code.UNKNOWN: 500,
    _Code.INVALID_ARGUMENT: 400,
    _Code.DEADLINE_EXCEEDED: 504,
    _Code.NOT_FOUND: 404,
    _Code.ALREADY_EXISTS: 409,
    _Code.PERMISSION_DENIED: 403,
    _Code.RESOURCE_EXHAUSTED: 429,
    _Code.FAILED_PRECONDITION: 400,
    _Code.ABORTED: 409,
    _Code.OUT_OF_RANGE: 400,
    _Code.UNIMPLEMENTED: 501,
    _Code.INTERNAL: 500,
    _Code.UNAVAILABLE: 503,
    _Code.DATA_LOSS: 500,
    _Code.UNAUTHENTICATED: 401,
}
"""The HTTP status for each code but OK."""

NAMES: Mapping[grpc.StatusCode, str] = {
    code: "canceled" if code is _Code.CANCELLED else code.name.lower() for code in HTTP_STATUS
}
"""Connect's name of each code."""

BY_NAME: Mapping[str, grpc.StatusCode] = {name: code for code, name in NAMES.items()}

_INFERRED: Mapping[int, grpc.StatusCode] = {
    400: _Code.INTERNAL,
    401: _Code.UNAUTHENTICATED,
    403: _Code.PERMISSION_DENIED,
    404: _Code.UNIMPLEMENTED,
    429: _Code.UNAVAILABLE,
    502: _Code.UNAVAILABLE,
    503: _Code.UNAVAILABLE,
    504: _Code.UNAVAILABLE,
}


def inferred(http_status: int) -> grpc.StatusCode:
    """Returns the code for an answer that is not Connect's error, such as a proxy's."""
    return _INFERRED.get(http_status, _Code.UNKNOWN)
