"""Checks of a request's head that the parsers of HTTP/1.1 and HTTP/2 do not make (RFC 9112; RFC 9110, 7.2).

Two programs on one path that read a message differently can be made to take one request for two (request
smuggling). So a message that could be read in two ways is refused, and the connection ends.
"""

import re
from collections.abc import Sequence

VERSIONS = ("1.1", "1.0")
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=:%\[\]-]*")
_PATH = re.compile(rb"/[\x21\x22\x24-\x7e]*")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_SCHEMES = (b"http", b"https")
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
    if hosts and not is_host(hosts[0]):
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


def is_host(value: bytes) -> bool:
    """Returns whether this can be a host, with or without a port."""
    return _HOST.fullmatch(value) is not None


def fields_fault(headers: Headers) -> tuple[int, str] | None:
    """Returns the HTTP status and the reason with which to refuse names and values that no message of HTTP/1.1 could
    carry; None if all are sound (RFC 9110, 5.1 and 5.5)."""
    if not all(_TOKEN.fullmatch(name) for name, _ in headers):
        return _BAD, "the name of a header is not one"
    if any(_CONTROL.search(value) for _, value in headers):
        return _BAD, "a header has a control character"
    return None


def target_fault(method: bytes, target: bytes, headers: Headers) -> tuple[int, str] | None:
    """Returns the HTTP status and the reason with which to refuse a request line; None if it is sound (RFC 9112, 3.2).

    A URL must name the host of the Host header. The names in `headers` are in lower case.
    """
    if _PATH.fullmatch(target) and _TOKEN.fullmatch(method) and method != b"CONNECT":
        return None
    if method == b"CONNECT":
        return _NOT_IMPLEMENTED, "this server is no tunnel"
    if not _TOKEN.fullmatch(method):
        return _BAD, "the method of the request is not one"
    if target == b"*":
        return None if method == b"OPTIONS" else (_BAD, "only OPTIONS asks about *")
    scheme, _, rest = target.partition(b"://")
    authority, slash, path = rest.partition(b"/")
    if scheme.lower() not in _SCHEMES or not _PATH.fullmatch(slash + path or b"/"):
        return _BAD, "the path of the request is not one"
    if authority.lower() not in [value.lower() for name, value in headers if name == b"host"]:
        return _BAD, "the URL of the request names another host than its Host header"
    return None
