"""A server behind the gateway, in octets: it reads requests in the strictest way, and remembers them."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.attacks.corpus.attack import Seen

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (/[\x21-\x7e]*) HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9a-z-]+): ([\x20-\x7e\x80-\xff\t]*)")


class Ambiguous(Exception):
    """What came could be read in two ways."""


@dataclass
class StrictUpstream:
    """`requests` are those that came whole. `faults` says what came that no sound proxy sends."""

    listener: socket.socket
    requests: list[Seen] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    answer: bytes = OK

    @property
    def url(self) -> str:
        """Where it listens."""
        return "http://{}:{}".format(*self.listener.getsockname())

    def serve(self) -> None:
        """Takes connections until the listener is closed."""
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve_one, args=(connection,), daemon=True).start()

    def _serve_one(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            try:
                while (seen := _read(stream)) is not None:
                    self.requests.append(seen)
                    connection.sendall(self.answer)
            except Ambiguous as error:
                self.faults.append(str(error))
            except (EOFError, OSError):
                pass  # the gateway gave the request up


def _line(stream: object) -> bytes:
    line: bytes = stream.readline()  # type: ignore[attr-defined]
    if not line.endswith(b"\n"):
        raise EOFError
    if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
        raise Ambiguous(f"a line ends otherwise than with CRLF: {line!r}")
    return line[:-2]


def _exactly(stream: object, size: int) -> bytes:
    octets = bytearray()
    while len(octets) < size:  # piece by piece: a length may be one that nobody ever sends
        part: bytes = stream.read1(min(size - len(octets), 65_536))  # type: ignore[attr-defined]
        if not part:
            raise EOFError
        octets += part
    return bytes(octets)


def _read(stream: object) -> Seen | None:
    try:
        first = _line(stream)
    except EOFError:
        return None
    found = _LINE.fullmatch(first)
    if found is None:
        raise Ambiguous(f"no request line: {first!r}")
    names, lengths, codings = [], [], []
    while line := _line(stream):
        pair = _FIELD.fullmatch(line)
        if pair is None:
            raise Ambiguous(f"no field: {line!r}")
        names.append(pair[1])
        lengths += [pair[2]] if pair[1] == b"content-length" else []
        codings += [pair[2]] if pair[1] == b"transfer-encoding" else []
    if names.count(b"host") != 1 or len(lengths) + len(codings) > 1:
        raise Ambiguous(f"{names.count(b'host')} hosts, the lengths {lengths} and the codings {codings}")
    return Seen(found[1].decode(), found[2].decode(), _body(stream, lengths, codings))


def _body(stream: object, lengths: list[bytes], codings: list[bytes]) -> bytes:
    if lengths:
        if not re.fullmatch(rb"0|[1-9][0-9]*", lengths[0]):
            raise Ambiguous(f"the length {lengths[0]!r}")
        return _exactly(stream, int(lengths[0]))
    if not codings:
        return b""
    if codings != [b"chunked"]:
        raise Ambiguous(f"the coding {codings[0]!r}")
    body = b""
    while True:
        size = _line(stream)
        if not re.fullmatch(rb"[0-9a-f]{1,15}", size):
            raise Ambiguous(f"the size of a chunk {size!r}")
        body += _exactly(stream, int(size, 16))
        if _line(stream):
            raise Ambiguous("a chunk is longer than its size, or there is a trailer")
        if not int(size, 16):
            return body


@contextmanager
def strict_upstream() -> Iterator[StrictUpstream]:
    """Runs one in threads of this process."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        upstream = StrictUpstream(listener)
        threading.Thread(target=upstream.serve, daemon=True).start()
        try:
            yield upstream
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
