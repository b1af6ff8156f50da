"""The refusals that the HTTP server answers itself, before the application gets the request: problems of RFC 9457."""

from http import HTTPStatus

from souk.gateway.http.problem import Problem
from souk.telemetry.traces import child_of

TOO_LARGE = Problem(431, "HEADERS_TOO_LARGE", "the headers of the request are too large")
TOO_SLOW = Problem(408, "REQUEST_TIMEOUT", "the request did not arrive in time")
TOO_MANY = Problem(503, "TOO_MANY_CONNECTIONS", "too many connections are open; close some, or try again later")


def malformed(detail: str) -> Problem:
    """Makes the refusal of octets that are not HTTP/1.1."""
    return Problem(400, "MALFORMED_REQUEST", f"this is not a valid HTTP/1.1 request: {detail[:200]}")


def unsound(status: int, detail: str) -> Problem:
    """Makes the refusal of a head that could be read in two ways, or that asks for what the server does not have."""
    codes = {501: "NOT_IMPLEMENTED", 505: "HTTP_VERSION_NOT_SUPPORTED"}
    return Problem(status, codes.get(status, "MALFORMED_REQUEST"), detail)


def octets_of(problem: Problem) -> bytes:
    """Gives the octets of the whole response, which is the last one of its connection."""
    body = problem.document(child_of("").trace_id)
    headers = [*problem.all_headers(), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    return _status_line(problem.status) + lines + b"\r\n" + body


def goodbye() -> bytes:
    """Gives the octets of a 408: the connection ends, and no request has been read (RFC 9110, 15.5.9)."""
    return _status_line(408) + b"connection: close\r\ncontent-length: 0\r\n\r\n"


def _status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
