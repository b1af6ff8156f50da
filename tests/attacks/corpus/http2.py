"""Rows of HTTP/2 (RFC 9113): all that a client sends on one connection, as octets."""

from collections.abc import Mapping
from dataclasses import dataclass

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.attacks.corpus.attack import Seen

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
Fields = list[tuple[str, str]]
METHOD, PATH, SCHEME, AUTHORITY = (":method", "GET"), (":path", "/up/x"), (":scheme", "http"), (":authority", "x")
GET: Fields = [METHOD, PATH, SCHEME, AUTHORITY]
POST: Fields = [(":method", "POST"), *GET[1:]]
BREACH = frozenset({"PROTOCOL_ERROR", "400"})
CALM = frozenset({"ENHANCE_YOUR_CALM", "PROTOCOL_ERROR"})


@dataclass(frozen=True)
class Http2Attack:
    """`ends` are the ways to end: the status of the answer, or the error of the stream or of the connection."""

    name: str
    source: str
    octets: bytes
    ends: frozenset[str]
    seen: tuple[Seen, ...] = ()

    @property
    def outcome(self) -> str:
        """What is expected, in a few words."""
        read = "".join(f", {one.method} {one.target} goes on" for one in self.seen)
        return " or ".join(sorted(self.ends)) + read


def _frames(*frames: Frame) -> bytes:
    start = PREFACE + SettingsFrame(0).serialize()
    return start + b"".join(frame.serialize() for frame in frames) + GoAwayFrame(0).serialize()


def _head(fields: Fields, *flags: str, stream: int = 1) -> HeadersFrame:
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
    return HeadersFrame(stream, Encoder().encode(pairs, huffman=False), flags=flags or ("END_HEADERS", "END_STREAM"))


def _data(octets: bytes, *flags: str, stream: int = 1) -> DataFrame:
    return DataFrame(stream, octets, flags=flags)


def _row(name: str, source: str, fields: Fields, ends: frozenset[str] = BREACH) -> Http2Attack:
    return Http2Attack(name, source, _frames(_head(fields)), ends)


def _framed(name: str, source: str, ends: frozenset[str], *frames: Frame, seen: tuple[Seen, ...] = ()) -> Http2Attack:
    return Http2Attack(name, source, _frames(*frames), ends, seen)


OK = frozenset({"200"})
OPEN = ("END_HEADERS",)
FIELDS, PSEUDO, BODY, DANGER = "RFC 9113, 8.2.1", "RFC 9113, 8.3.1", "RFC 9113, 8.1.1", "RFC 9113, 10.5"

MESSAGES = (
    _framed("a request", "RFC 9113, 8", OK, _head(GET), seen=(Seen(),)),
    _framed(
        "a body without a length",
        BODY,
        OK,
        _head(POST, *OPEN),
        _data(b"hello", "END_STREAM"),
        seen=(Seen("POST", body=b"hello"),),
    ),
    _framed(
        "a cookie in pieces", "RFC 9113, 8.2.3", OK, _head([*GET, ("cookie", "a=1"), ("cookie", "b=2")]), seen=(Seen(),)
    ),
    _row("a name in capitals", FIELDS, [*GET, ("Host", "x")]),
    _row("an empty name", FIELDS, [*GET, ("", "x")]),
    _row("a name with a colon", FIELDS, [*GET, ("a:b", "x")]),
    _row("a name with an equals sign", FIELDS, [*GET, ("a=b", "x")]),
    _row("a name with a slash", FIELDS, [*GET, ("a/b", "x")]),
    _row("a name in quotes", FIELDS, [*GET, ('"a"', "x")]),
    _row("a cookie with a control character", "RFC 9110, 5.5", [*GET, ("cookie", "a=\x01")]),
    _row("a name with a line end", FIELDS, [*GET, ("a: b\r\nc", "x")]),
    _row("a name with a space", FIELDS, [*GET, ("a b", "x")]),
    _row("a name beyond ASCII", FIELDS, [*GET, ("\xff", "x")]),
    _row("a value with a line end", FIELDS, [*GET, ("a", "b\r\ntransfer-encoding: chunked")]),
    _row("a value with LF", FIELDS, [*GET, ("a", "b\nc: d")]),
    _row("a value with CR", FIELDS, [*GET, ("a", "b\rc: d")]),
    _row("a value with a NUL", FIELDS, [*GET, ("a", "b\0")]),
    _row("a value with a control character", "RFC 9110, 5.5", [*GET, ("a", "b\x01")]),
    _row("a value with DEL", "RFC 9110, 5.5", [*GET, ("a", "b\x7f")]),
    _row("a value with white space around it", FIELDS, [*GET, ("a", " b ")]),
    _row("Transfer-Encoding", "RFC 9113, 8.2.2", [*GET, ("transfer-encoding", "chunked")]),
    _row("Connection", "RFC 9113, 8.2.2", [*GET, ("connection", "close")]),
    _row("Keep-Alive", "RFC 9113, 8.2.2", [*GET, ("keep-alive", "timeout=5")]),
    _row("Proxy-Connection", "RFC 9113, 8.2.2", [*GET, ("proxy-connection", "close")]),
    _row("Upgrade", "RFC 9113, 8.2.2", [*GET, ("upgrade", "websocket")]),
    _row("TE with more than trailers", "RFC 9113, 8.2.2", [*GET, ("te", "chunked")]),
    _row("no method", PSEUDO, GET[1:]),
    _row("no path", PSEUDO, [METHOD, SCHEME, AUTHORITY]),
    _row("no scheme", PSEUDO, [METHOD, PATH, AUTHORITY]),
    _row("no host", PSEUDO, GET[:3]),
    _row("an empty path", PSEUDO, [METHOD, (":path", ""), SCHEME, AUTHORITY]),
    _row("two paths", PSEUDO, [*GET, (":path", "/up/evil")]),
    _row("an unknown pseudo-header", PSEUDO, [*GET, (":evil", "x")]),
    _row("a pseudo-header of answers", PSEUDO, [*GET, (":status", "200")]),
    _row("a pseudo-header after a header", PSEUDO, [METHOD, ("a", "b"), *GET[1:]]),
    _row("a method with a space", PSEUDO, [(":method", "GET /up/evil"), *GET[1:]]),
    _row(
        "a method with a request line", PSEUDO, [(":method", "GET /up/evil HTTP/1.1\r\nhost: x\r\n\r\nGET"), *GET[1:]]
    ),
    _row("a path with a space", PSEUDO, [METHOD, (":path", "/up/x HTTP/1.1"), SCHEME, AUTHORITY]),
    _row("a path with a line end", PSEUDO, [METHOD, (":path", "/up/x HTTP/1.1\r\na: b"), SCHEME, AUTHORITY]),
    _row("a path with a fragment", PSEUDO, [METHOD, (":path", "/up/x#y"), SCHEME, AUTHORITY]),
    _row("a path without a slash", PSEUDO, [METHOD, (":path", "up/x"), SCHEME, AUTHORITY]),
    _row("a path beyond ASCII", PSEUDO, [METHOD, (":path", "/up/\xff"), SCHEME, AUTHORITY]),
    _row("a star for GET", PSEUDO, [METHOD, (":path", "*"), SCHEME, AUTHORITY]),
    _row("a URL as path", PSEUDO, [METHOD, (":path", "http://evil/up/x"), SCHEME, AUTHORITY]),
    _row("a host with a space", PSEUDO, [*GET[:3], (":authority", "a b")]),
    _row("a host with a path", PSEUDO, [*GET[:3], (":authority", "a/b")]),
    _row("a host with a user", PSEUDO, [*GET[:3], (":authority", "a@b")]),
    _row("a host and another authority", PSEUDO, [*GET, ("host", "evil")]),
    _row("two hosts", PSEUDO, [*GET[:3], ("host", "x"), ("host", "x")]),
    _row("CONNECT", "RFC 9113, 8.5", [(":method", "CONNECT"), (":authority", "evil:443")], frozenset({"501"})),
    _row("a length without a body", BODY, [*POST, ("content-length", "5")]),
    _row("two lengths", BODY, [*POST, ("content-length", "0"), ("content-length", "5")]),
    _row("a length with a plus", BODY, [*POST, ("content-length", "+0")]),
    _row("a list of lengths", BODY, [*POST, ("content-length", "0, 0")]),
    _framed(
        "less than the length", BODY, BREACH, _head([*POST, ("content-length", "5")], *OPEN), _data(b"he", "END_STREAM")
    ),
    _framed(
        "more than the length",
        BODY,
        BREACH,
        _head([*POST, ("content-length", "2")], *OPEN),
        _data(b"hello", "END_STREAM"),
    ),
    _framed("a pseudo-header in a trailer", BODY, BREACH, _head(POST, *OPEN), _data(b"he"), _head([PATH])),
    _row("fields without end", "RFC 6585, 5", [*GET, *(("a", "b") for _ in range(2_000))], frozenset({"431"}) | CALM),
)

_SMALL = SettingsFrame(0, settings={4: 65_535})
FRAMES = (
    _framed("data before a head", "RFC 9113, 5.1", BREACH, _data(b"x")),
    _framed("an even stream", "RFC 9113, 5.1.1", BREACH, _head(GET, stream=2)),
    _framed(
        "a head without end",
        "RFC 9113, 6.10",
        CALM,
        _head(GET, "END_STREAM"),
        *(ContinuationFrame(1, b"") for _ in range(20_000)),
    ),
    _framed(
        "a head that another frame interrupts",
        "RFC 9113, 6.10",
        BREACH,
        _head(GET, "END_STREAM"),
        PingFrame(0, b"12345678"),
    ),
    _framed("a push of the client", "RFC 9113, 8.4", BREACH, PushPromiseFrame(1, 2, b"", flags=("END_HEADERS",))),
    _framed(
        "a window of more than 31 bits",
        "RFC 9113, 6.9.1",
        frozenset({"FLOW_CONTROL_ERROR"}),
        WindowUpdateFrame(0, 2**31 - 1),
    ),
    _framed("a stream that depends on itself", "RFC 9113, 5.3", BREACH, PriorityFrame(1, 1)),
    _framed("a reset of an unknown stream", "RFC 9113, 6.4", BREACH, RstStreamFrame(99)),
    _framed("a wrong setting", "RFC 9113, 6.5.2", BREACH, SettingsFrame(0, settings={2: 7})),
    _framed("a ping flood", DANGER, CALM, *[PingFrame(0, b"12345678")] * 5_000),
    _framed("a settings flood", DANGER, CALM, *[_SMALL] * 5_000),
    _framed("a flood of empty data", DANGER, CALM, _head(POST, *OPEN), *[_data(b"")] * 5_000),
    _framed("a flood of priorities", DANGER, CALM, *[PriorityFrame(1, 3)] * 5_000),
    _framed(
        "rapid reset",
        "CVE-2023-44487",
        CALM | {"REFUSED_STREAM"},
        *(
            one
            for number in range(1, 4_001, 2)
            for one in (_head([METHOD, (":path", "/api/v1/nothing"), *GET[2:]], stream=number), RstStreamFrame(number))
        ),
    ),
)

BROKEN = (
    Http2Attack(
        "a preface without frames after it",
        "RFC 9113, 3.4",
        PREFACE + b"GET / HTTP/1.1\r\n\r\n",
        frozenset({"PROTOCOL_ERROR", "FRAME_SIZE_ERROR"}),
    ),
    Http2Attack(
        "a frame of 16 MiB",
        "RFC 9113, 4.2",
        PREFACE + SettingsFrame(0).serialize() + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
        frozenset({"FRAME_SIZE_ERROR"}),
    ),
    Http2Attack(
        "a head that is no HPACK",
        "RFC 9113, 4.3",
        _frames(HeadersFrame(1, b"\xff" * 50, flags=("END_HEADERS", "END_STREAM"))),
        frozenset({"COMPRESSION_ERROR", "PROTOCOL_ERROR"}),
    ),
    Http2Attack(
        "a table of HPACK that grows without end",
        "RFC 7541, 4.3",
        _frames(HeadersFrame(1, b"\x3f\xff\xff\xff\xff\x0f", flags=("END_HEADERS", "END_STREAM"))),
        frozenset({"COMPRESSION_ERROR", "PROTOCOL_ERROR"}),
    ),
    Http2Attack(
        "a bomb of HPACK",
        "RFC 7541, 7.3",
        _frames(
            HeadersFrame(
                1,
                Encoder().encode([(b":method", b"GET"), (b"a", b"b" * 4_000)]) + b"\xbe" * 10_000,
                flags=("END_HEADERS", "END_STREAM"),
            )
        ),
        CALM,
    ),
)

HTTP2_PARTS: Mapping[str, tuple[Http2Attack, ...]] = {
    "HTTP/2: messages": MESSAGES,
    "HTTP/2: frames": FRAMES,
    "HTTP/2: octets that are no frames": BROKEN,
}
HTTP2: Mapping[str, Http2Attack] = {one.name: one for part in HTTP2_PARTS.values() for one in part}
