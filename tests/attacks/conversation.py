"""A connection that sends what a row prescribes, and all that comes back until the server ends it."""

import select
import socket
import time

from h2.errors import ErrorCodes
from hpack import Decoder
from hyperframe.frame import Frame, GoAwayFrame, HeadersFrame, RstStreamFrame

PATIENCE = 60.0
"""Seconds after which a connection that is neither answered nor ended counts as a hang."""
_PIECE = 64 * 1024


class Hang(AssertionError):
    """The server neither answered in full nor ended the connection."""


def converse(address: tuple[str, int] | str, octets: bytes, patience: float = PATIENCE) -> bytes:
    """Sends the octets on a new connection, and gives all that comes until its end.

    Raises Hang when the end does not come.
    """
    with _connected(address, patience) as connection:
        connection.setblocking(False)
        came, left, end = bytearray(), memoryview(octets), time.monotonic() + patience
        while (now := time.monotonic()) < end:
            readable, writable, _ = select.select([connection], [connection] if left else [], [], end - now)
            if readable:
                part = _received(connection)
                if not part:
                    return bytes(came)
                came += part
            if writable:
                left = left[_sent(connection, left) :]
    raise Hang(f"no end after {bytes(came[:200])!r}")


def _connected(address: tuple[str, int] | str, patience: float) -> socket.socket:
    if not isinstance(address, str):
        return socket.create_connection(address, timeout=patience)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(patience)
    connection.connect(address)
    return connection


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(_PIECE)
    except ConnectionResetError:
        return b""


def _sent(connection: socket.socket, left: memoryview) -> int:
    try:
        return connection.send(left[:_PIECE])
    except (BrokenPipeError, ConnectionResetError):
        return len(left)


def answers_in(octets: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Reads answers: status, headers and body. Raises ValueError for what is none, or not whole."""
    found = []
    while octets:
        head, end, octets = octets.partition(b"\r\n\r\n")
        if not end:
            raise ValueError(f"half an answer: {head!r}")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        if version != "HTTP/1.1":
            raise ValueError(f"no answer: {first!r}")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body, octets = _body_of(headers, octets)
        if status != "100":
            found.append((int(status), headers, body))
    return found


def _body_of(headers: dict[str, str], octets: bytes) -> tuple[bytes, bytes]:
    if headers.get("transfer-encoding") != "chunked":
        length = int(headers.get("content-length", "0"))
        if len(octets) < length:
            raise ValueError("half a body")
        return octets[:length], octets[length:]
    body = b""
    while True:
        size, _, octets = octets.partition(b"\r\n")
        length = int(size, 16)
        body, end, octets = body + octets[:length], octets[length : length + 2], octets[length + 2 :]
        if end != b"\r\n":
            raise ValueError("half a body")
        if not length:
            return body, octets


def ends_in(octets: bytes) -> set[str]:
    """Reads frames of HTTP/2: the statuses of answers, and the names of errors of streams and of the connection."""
    decoder, found = Decoder(), set[str]()
    while octets:
        frame, length = Frame.parse_frame_header(memoryview(octets[:9]))
        frame.parse_body(memoryview(octets[9 : 9 + length]))
        octets = octets[9 + length :]
        if isinstance(frame, HeadersFrame):
            found |= {str(value) for name, value in decoder.decode(frame.data) if name == ":status"}
        elif isinstance(frame, GoAwayFrame | RstStreamFrame) and frame.error_code:
            found.add(ErrorCodes(frame.error_code).name)
    return found
