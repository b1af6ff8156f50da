"""Reads one request of Connect, or refuses it, and encodes the answer."""

import math
from collections.abc import Callable
from typing import Any

import grpc

from souk.http1.reader import RequestReader
from souk.kernel.clock import Clock
from souk.rpc.call import Call, Pairs, Status
from souk.rpc.connect.errors import HTTP_STATUS, encode
from souk.rpc.connect.headers import lines, pairs_of
from souk.rpc.metadata import InvalidMetadata
from souk.rpc.server.dispatcher import Served
from souk.rpc.server.handler_context import CallerEnd, HandlerContext
from souk.rpc.server.handling import NO_METHOD, too_much_metadata
from souk.rpc.transport import EXPIRED
from souk.telemetry.tracing.calling import CONNECT

PROTO = "application/proto"
ACCEPTED = "identity"
_LONGEST_TIMEOUT = 10  # digits
_PHRASES = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    415: "Unsupported Media Type",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}

Find = Callable[[str], Served | None]


class Refused(Exception):
    """A request that reaches no handler. With `http_status` 0 the HTTP status follows from the code."""

    def __init__(self, status: Status, http_status: int = 0, headers: str = "") -> None:
        super().__init__(status.details)
        self.status = status
        self.http_status = http_status
        self.headers = headers


class ServedContext(HandlerContext):
    """The handler's context of a call over Connect. `agent` is the caller's user agent."""

    system = CONNECT

    def __init__(self, call: Call, clock: Clock, caller: CallerEnd, peer: str, agent: str) -> None:
        super().__init__(call, clock, caller)
        self._peer = peer
        self._agent = agent

    def peer(self) -> str:
        return self._peer

    def time_remaining(self) -> Any:
        return None if self._call.deadline == math.inf else super().time_remaining()

    def invocation_metadata(self) -> Any:
        return (("user-agent", self._agent), *self._call.metadata)


def asked(reader: RequestReader, find: Find, clock: Clock) -> tuple[Served, Call, str]:
    """Returns the method, the call and the caller's user agent. Raises Refused."""
    headers, served = _named(reader, find)
    call = _call(reader, served, clock.monotonic() + _timeout(headers))
    if (refusal := too_much_metadata(call)) is not None:
        raise Refused(refusal)
    if call.deadline <= clock.monotonic():
        raise Refused(EXPIRED)
    return served, call, headers.get(b"user-agent", b"").decode("latin-1")


def admit(reader: RequestReader, find: Find) -> None:
    """Checks by the head of a request alone whether the caller may make the call. Raises Refused.

    The dispatcher checks the same again for the whole call; this check comes before the body is read.
    """
    _, served = _named(reader, find)
    refusal = served.refusal(_metadata(reader))
    if refusal is not None:
        raise Refused(refusal)


def _named(reader: RequestReader, find: Find) -> tuple[dict[bytes, bytes], Served]:
    if reader.verb != b"POST":
        raise Refused(Status(grpc.StatusCode.UNKNOWN, "calls are made with POST"), 405, "allow: POST\r\n")
    headers = dict(reader.headers)
    served = find(reader.path)
    _check(headers, served)
    if served is None:
        raise Refused(Status(grpc.StatusCode.UNIMPLEMENTED, NO_METHOD), 404)
    return headers, served


def _metadata(reader: RequestReader) -> Pairs:
    try:
        return pairs_of(reader.headers)
    except InvalidMetadata as error:
        raise Refused(Status(grpc.StatusCode.INVALID_ARGUMENT, str(error))) from None


def _call(reader: RequestReader, served: Served, deadline: float) -> Call:
    return Call(served.method, bytes(reader.body), _metadata(reader), deadline)


def _check(headers: dict[bytes, bytes], served: Served | None) -> None:
    streams = served is not None and (served.method.client_streaming or served.method.server_streaming)
    if headers.get(b"content-type", b"") != b"application/proto" or streams:
        detail = "streams are called by gRPC" if streams else f"only {PROTO} is understood"
        raise Refused(Status(grpc.StatusCode.UNKNOWN, detail), 415, f"accept-post: {PROTO}\r\n")
    version = headers.get(b"connect-protocol-version", b"1")
    if version != b"1":
        raise _wrong(f'connect-protocol-version must be "1", not {_shown(version)}')
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding != b"identity":
        detail = f"the encoding {_shown(encoding)} is not known; supported: {ACCEPTED}"
        raise Refused(Status(grpc.StatusCode.UNIMPLEMENTED, detail), 0, f"accept-encoding: {ACCEPTED}\r\n")


def _timeout(headers: dict[bytes, bytes]) -> float:
    """Returns the caller's time-out in seconds; infinite without one."""
    text = headers.get(b"connect-timeout-ms")
    if text is None:
        return math.inf
    if not text.isdigit() or len(text) > _LONGEST_TIMEOUT:
        raise _wrong(f"connect-timeout-ms must be milliseconds, not {_shown(text)}")
    return int(text) / 1_000


def _wrong(detail: str) -> Refused:
    return Refused(Status(grpc.StatusCode.INVALID_ARGUMENT, detail))


def _shown(value: bytes) -> str:
    return ascii(value[:40].decode("latin-1"))


def answer(message: bytes, initial: Pairs, trailing: Pairs, keep_alive: bool, date: str) -> bytes:
    """Encodes the answer with a message."""
    head = f"HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-type: {PROTO}\r\ncontent-length: {len(message)}\r\n"
    if initial or trailing:
        head += lines(initial) + lines(trailing, "trailer-")
    return (head + ("\r\n" if keep_alive else "connection: close\r\n\r\n")).encode() + message


def refusal(
    status: Status, initial: Pairs, keep_alive: bool, date: str, http_status: int = 0, headers: str = ""
) -> bytes:
    """Encodes the answer with a status that is not OK."""
    body, trailing = encode(status)
    http_status = http_status or HTTP_STATUS[status.code]
    phrase = _PHRASES.get(http_status, status.code.name.replace("_", " ").title())
    head = f"HTTP/1.1 {http_status} {phrase}\r\ndate: {date}\r\ncontent-type: application/json\r\n"
    head += f"content-length: {len(body)}\r\n{headers}"
    head += lines(initial) + lines(trailing, "trailer-")
    return (head + ("\r\n" if keep_alive else "connection: close\r\n\r\n")).encode() + body


def goodbye(http_status: int = 408) -> bytes:
    """Encodes the answer that says that the connection ends and that no request has been read (RFC 9110, 15.5.9)."""
    phrase = _PHRASES[http_status]
    return f"HTTP/1.1 {http_status} {phrase}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode()
