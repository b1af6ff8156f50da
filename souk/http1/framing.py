"""Checks of a request's head that the parser of HTTP/1.1 does not make (RFC 9112; RFC 9110, 7.2).

Two programs on one path that read a message differently can be made to take one request for two (request
smuggling). So a message that could be read in two ways is refused, and the connection ends.
"""

import re
from collections.abc import Sequence

VERSIONS = ("1.1", "1.0")
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=:%\[\]-]*")
_UNSUPPORTED, _BAD, _NOT_IMPLEMENTED = 505, 400, 501

Headers = Sequence[tuple[bytes, bytes]]


def fault(version: str, headers: Headers) -> tuple[int, str] | None:
    """Returns the HTTP status and the reason with which to refuse a request's head; None if the head is sound.

    The names in `headers` are in lower case, the values without white space around them.
    """
    if version not in VERSIONS:
        return _UNSUPPORTED, "only HTTP/1.1 and HTTP/1.0 are understood"
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (version == VERSIONS[0] and not hosts):
        return _BAD, "a request has exactly one Host header"
    if hosts and not _HOST.fullmatch(hosts[0]):
        return _BAD, "the Host header is not a host"
    encodings = [value for name, value in headers if name == b"transfer-encoding"]
    if not encodings:
        return None
    if version != VERSIONS[0]:
        return _BAD, "HTTP/1.0 has no Transfer-Encoding"
    if len(encodings) > 1 or encodings[0].lower() != b"chunked":
        return _NOT_IMPLEMENTED, "the only Transfer-Encoding that is understood is chunked, once"
    return None


def announces_body(headers: Headers) -> bool:
    """Returns whether a request has a body, by its head. The names in `headers` are in lower case."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and bool(value.strip(b"0")))
        for name, value in headers
    )
