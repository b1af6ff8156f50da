"""Connect's codes: their names, the HTTP status of each, and the code of a status that came without one.

Source: connectrpc.com/docs/protocol, "Error Codes" and "HTTP to Error Code".
"""

from collections.abc import Mapping

import grpc

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
"""With which HTTP status a code is answered; every code but OK."""

NAMES: Mapping[grpc.StatusCode, str] = {
    code: "canceled" if code is _Code.CANCELLED else code.name.lower() for code in HTTP_STATUS
}
"""A code as Connect writes it."""

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
    """The code of an answer that is no error of Connect's, such as a proxy's."""
    return _INFERRED.get(http_status, _Code.UNKNOWN)
