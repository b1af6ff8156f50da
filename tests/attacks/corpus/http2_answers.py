"""Answers of a hostile upstream over HTTP/2 (RFC 9113): what it sends once it has read a request on stream 1."""

from collections.abc import Mapping

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

from tests.attacks.corpus.answers import HostileAnswer

Fields = list[tuple[str, str]]
STATUS = (":status", "200")
ALL = ("END_HEADERS", "END_STREAM")
OPEN = ("END_HEADERS",)
FIELDS, PSEUDO, BODY, DANGER = "RFC 9113, 8.2.1", "RFC 9113, 8.3.2", "RFC 9113, 8.1.1", "RFC 9113, 10.5"
_OK = "200, as a client must read it"
_BAD_GATEWAY = "502, and the next request is answered"
_BROKEN = "the client's answer is broken off, and never looks complete"
_ALONE = "502, or the answer as if nothing had followed"
_MANY = 20_000


def head(fields: Fields, *flags: str, stream: int = 1) -> HeadersFrame:
    """Makes a frame with a head. Fields are not checked, and the table of HPACK stays empty."""
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
    encoder = Encoder()
    encoder.header_table_size = 0
    return HeadersFrame(stream, encoder.encode(pairs, huffman=False), flags=flags or ALL)


def data(octets: bytes, *flags: str, stream: int = 1) -> DataFrame:
    """Makes a frame with a part of a body."""
    return DataFrame(stream, octets, flags=flags)


def _octets(*frames: Frame) -> bytes:
    known: dict[int, bytes] = {}  # of floods, most are one frame again and again
    return b"".join(known.get(id(frame)) or known.setdefault(id(frame), frame.serialize()) for frame in frames)


def _refused(name: str, source: str, *frames: Frame) -> HostileAnswer:
    return HostileAnswer(name, source, _octets(*frames), _BAD_GATEWAY)


def _raw(outcome: str, name: str, source: str, octets: bytes) -> HostileAnswer:
    return HostileAnswer(name, source, octets, outcome)


def _fields(name: str, source: str, *fields: tuple[str, str]) -> HostileAnswer:
    return _refused(name, source, head(list(fields)))


def _broken(name: str, source: str, *frames: Frame) -> HostileAnswer:
    return HostileAnswer(name, source, _octets(*frames), _BROKEN)


def _sound(name: str, source: str, *frames: Frame) -> HostileAnswer:
    return HostileAnswer(name, source, _octets(*frames), _OK)


def _late(name: str, *frames: Frame) -> HostileAnswer:
    return HostileAnswer(name, "RFC 9113, 5.1", _octets(*frames), _ALONE)


_OPENED = head([STATUS], *OPEN)
_END = data(b"ok", "END_STREAM")
_UNKNOWN = b"\0\0\1\xbb\0\0\0\0\1x"
_PING = PingFrame(0, b"12345678")
_PUSHED = head([(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "x")]).data
_LONG = head([STATUS, *((f"x-{number}", "a" * 1_000) for number in range(70))]).data
_BOMB = Encoder().encode([(b":status", b"200"), (b"a", b"b" * 4_000)]) + b"\xbe" * 10_000


def _rest(block: bytes) -> list[Frame]:
    parts = [block[at : at + 16_000] for at in range(0, len(block), 16_000)]
    return [ContinuationFrame(1, one, flags=OPEN if one is parts[-1] else ()) for one in parts]


UNSOUND_HTTP2 = (
    _fields("no status", PSEUDO, ("content-type", "a/b")),
    _fields("two statuses", PSEUDO, STATUS, (":status", "201")),
    _fields("a status of two digits", PSEUDO, (":status", "20")),
    _fields("a status of four digits", PSEUDO, (":status", "2000")),
    _fields("a status that is no number", PSEUDO, (":status", "2xx")),
    _fields("a status with a sign", PSEUDO, (":status", "+20")),
    _fields("a status of no class", "RFC 9110, 15", (":status", "600")),
    _fields("a status below all", "RFC 9110, 15", (":status", "000")),
    _fields("another protocol", "RFC 9113, 8.6", (":status", "101")),
    _refused("another protocol, and an answer", "RFC 9113, 8.6", head([(":status", "101")], *OPEN), head([STATUS])),
    _fields("a pseudo-header of requests", PSEUDO, STATUS, (":path", "/evil")),
    _fields("an unknown pseudo-header", PSEUDO, STATUS, (":evil", "x")),
    _fields("a status after a header", PSEUDO, ("x-a", "1"), STATUS),
    _fields("a name in capitals", FIELDS, STATUS, ("X-A", "1")),
    _fields("an empty name", FIELDS, STATUS, ("", "1")),
    _fields("a name with a space", FIELDS, STATUS, ("x a", "1")),
    _fields("a name with a line end", FIELDS, STATUS, ("x-a: 1\r\nset-cookie", "a=b")),
    _fields("a name beyond ASCII", FIELDS, STATUS, ("x-\xff", "1")),
    _fields("a value with a line end", FIELDS, STATUS, ("x-a", "1\r\nset-cookie: a=b")),
    _fields("a value with a whole answer", FIELDS, STATUS, ("x-a", "1\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0")),
    _fields("a value with a bare CR", FIELDS, STATUS, ("x-a", "1\rset-cookie: a=b")),
    _fields("a value with a zero", FIELDS, STATUS, ("x-a", "1\0")),
    _fields("Transfer-Encoding", "RFC 9113, 8.2.2", STATUS, ("transfer-encoding", "chunked")),
    _fields("Connection", "RFC 9113, 8.2.2", STATUS, ("connection", "close")),
    _fields("Upgrade", "RFC 9113, 8.2.2", STATUS, ("upgrade", "websocket")),
    _fields("two lengths", BODY, STATUS, ("content-length", "0"), ("content-length", "2")),
    _fields("twice the same length", BODY, STATUS, ("content-length", "0"), ("content-length", "0")),
    _fields("a list of lengths", BODY, STATUS, ("content-length", "0, 0")),
    _fields("a length with a sign", BODY, STATUS, ("content-length", "+0")),
    _fields("a length with an underscore", BODY, STATUS, ("content-length", "0_0")),
    _fields("a length in hexadecimal", BODY, STATUS, ("content-length", "0x0")),
    _fields("a huge length", BODY, STATUS, ("content-length", "9" * 5_000)),
    _fields("a length without a body", BODY, STATUS, ("content-length", "5")),
    _fields("a hint that is the end", "RFC 9113, 8.1", (":status", "103")),
    _refused("hints without end", "RFC 8297", *[head([(":status", "103"), ("link", "</a>")], *OPEN)] * 2_000),
    _refused("data before the head", "RFC 9113, 8.1", _END),
    _refused("many headers", "RFC 6585, 5", head([STATUS, *[("a", "b")] * 1_800])),
    _refused("a long head", "RFC 6585, 5", HeadersFrame(1, _LONG[:16_000], flags=()), *_rest(_LONG[16_000:])),
    _refused("a head without end", "CVE-2024-27316", HeadersFrame(1, _LONG[:99]), *[ContinuationFrame(1, b"")] * _MANY),
    _refused("a head that another frame interrupts", "RFC 9113, 6.10", HeadersFrame(1, _LONG[:99]), _PING),
    _refused("a head that is no HPACK", "RFC 9113, 4.3", HeadersFrame(1, b"\xff" * 50, flags=ALL)),
    _refused(
        "a table of HPACK that grows without end",
        "RFC 7541, 4.3",
        HeadersFrame(1, b"\x3f" + b"\xff" * 4 + b"\x0f", flags=ALL),
    ),
    _refused("a bomb of HPACK", "RFC 7541, 7.3", HeadersFrame(1, _BOMB, flags=ALL)),
    _refused("a push", "RFC 9113, 8.4", PushPromiseFrame(1, 2, _PUSHED, flags=OPEN), head([STATUS])),
    _refused("a head on a stream of its own", "RFC 9113, 5.1.1", head([STATUS], stream=2)),
    _refused("an answer that nobody has asked for", "RFC 9113, 5.1", head([STATUS], stream=99)),
    _refused("a reset", "RFC 9113, 5.4.2", RstStreamFrame(1, 2)),
    _refused("a goodbye that denies the request each time", "RFC 9113, 6.8", GoAwayFrame(0, 0)),
    _refused("a wrong setting", "RFC 9113, 6.5.2", SettingsFrame(0, settings={4: 2**32 - 1})),
    _raw(_BAD_GATEWAY, "a frame of 16 MiB", "RFC 9113, 4.2", b"\xff\xff\xff\0\0\0\0\0\1"),
    _raw(_BAD_GATEWAY, "octets that are no frames", "RFC 9113, 4.1", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    _refused("a window of more than 31 bits", "RFC 9113, 6.9.1", WindowUpdateFrame(0, 2**31 - 1)),
    _refused(
        "a window of more than 31 bits for a stream",
        "RFC 9113, 6.9.1",
        WindowUpdateFrame(1, 2**31 - 1),
        head([STATUS]),
    ),
)
"""What is sent in place of an answer, and is refused."""

FLOODS_HTTP2 = (
    _refused("a ping flood", DANGER, *[_PING] * _MANY),
    _refused("a flood of answers to pings", DANGER, *[PingFrame(0, b"12345678", flags=("ACK",))] * _MANY),
    _refused("a settings flood", DANGER, *[SettingsFrame(0, settings={4: 65_535})] * _MANY),
    _refused("a flood of priorities", DANGER, *[PriorityFrame(1, 3)] * _MANY),
    _refused("a flood of windows", DANGER, *[WindowUpdateFrame(0, 1)] * _MANY),
    _raw(_BAD_GATEWAY, "a flood of unknown frames", DANGER, b"\0\0\1\xbb\0\0\0\0\0x" * _MANY),
    _refused("a flood of resets", DANGER, RstStreamFrame(1, 2), *[RstStreamFrame(1, 2)] * _MANY),
)
"""What costs the upstream little, in place of an answer: the connection ends."""

BROKEN_OFF_HTTP2 = (
    _broken("a reset", "RFC 9113, 5.4.2", RstStreamFrame(1, 2)),
    _broken("a reset without an error", "RFC 9113, 8.1", RstStreamFrame(1, 0)),
    _broken("a goodbye that denies the answer", "RFC 9113, 6.8", GoAwayFrame(0, 0), data(b"more", "END_STREAM")),
    _broken("a second head", "RFC 9113, 8.1", head([STATUS], *OPEN)),
    _broken("trailers that are not the end", "RFC 9113, 8.1", head([("x-a", "1")], *OPEN)),
    _broken("a status in trailers", BODY, head([STATUS])),
    _broken("a hint after the head", "RFC 9113, 8.1", head([(":status", "103")], *OPEN)),
    _broken("a name in capitals in trailers", FIELDS, head([("X-A", "1")])),
    _broken("a value with a line end in trailers", FIELDS, head([("x-a", "1\r\nx-b: 2")])),
    _broken("Transfer-Encoding in trailers", "RFC 9113, 8.2.2", head([("transfer-encoding", "chunked")])),
    _broken("long trailers", "RFC 6585, 5", head([("a", "b")] * 1_800)),
    _raw(_BROKEN, "data with more padding than data", "RFC 9113, 6.1", b"\0\0\2\0\x08\0\0\0\1\x09x"),
    _raw(_BROKEN, "a frame of 16 MiB", "RFC 9113, 4.2", b"\xff\xff\xff\0\0\0\0\0\1"),
    _broken("a window of more than 31 bits", "RFC 9113, 6.9.1", WindowUpdateFrame(0, 2**31 - 1)),
    _broken("a flood of empty data", DANGER, *[data(b"")] * _MANY),
    _broken("a ping flood", DANGER, *[_PING] * _MANY),
)
"""What comes after a head and a part of a body that are sound."""

_LENGTH = ("content-length", "5")
WRONG_LENGTH_HTTP2 = (
    _broken("less than the length", BODY, head([STATUS, _LENGTH], *OPEN), data(b"ok"), data(b"", "END_STREAM")),
    _broken("more than the length", BODY, head([STATUS, _LENGTH], *OPEN), data(b"ok"), data(b"more", "END_STREAM")),
    _broken("trailers before the length", BODY, head([STATUS, _LENGTH], *OPEN), data(b"ok"), head([("x-a", "1")])),
)
"""Answers whose bodies have not the length that their heads say; nothing may follow as if it were the next answer."""

AFTER_THE_END_HTTP2 = (
    _late("data", _OPENED, _END, data(b"evil", "END_STREAM")),
    _late("a second answer", _OPENED, _END, head([STATUS], *OPEN), data(b"evil", "END_STREAM")),
    _late("trailers", _OPENED, _END, head([("x-a", "1")])),
    _late("trailers after trailers", _OPENED, data(b"ok"), head([("x-a", "1")]), head([("x-a", "2")])),
    _late("a flood of data", _OPENED, _END, *[data(b"evil")] * _MANY),
)
"""What follows an answer that is whole."""

SOUND_HTTP2 = (
    _raw(_OK, "frames of an unknown kind", "RFC 9113, 4.1", _UNKNOWN + _octets(_OPENED) + _UNKNOWN + _octets(_END)),
    _sound("pings and settings", "RFC 9113, 6.7", *[_PING, SettingsFrame(0)] * 9, _OPENED, _END),
    _sound("hints", "RFC 8297", *[head([(":status", "103"), ("link", "</a>")], *OPEN)] * 9, _OPENED, _END),
    _sound("data octet by octet", "RFC 9113, 6.1", _OPENED, *[data(b"o"), data(b"k"), data(b"", "END_STREAM")]),
    _sound("a length of what has not changed", "RFC 9110, 8.6", head([(":status", "304"), ("content-length", "5")])),
    _sound("an unknown error", "RFC 9113, 7", _OPENED, _END, RstStreamFrame(1, 999)),
    _sound("a goodbye after the answer", "RFC 9113, 6.8", _OPENED, _END, GoAwayFrame(0, 1)),
    _sound("windows of any size", "RFC 9113, 6.9.2", SettingsFrame(0, settings={4: 0}), _OPENED, _END),
)
"""What is odd, and yet an answer with the body `ok`."""

HTTP2_ANSWER_PARTS: Mapping[str, tuple[HostileAnswer, ...]] = {
    "Answers of an upstream over HTTP/2: in place of an answer": UNSOUND_HTTP2,
    "Answers of an upstream over HTTP/2: floods": FLOODS_HTTP2,
    "Answers of an upstream over HTTP/2: after a head and a part": BROKEN_OFF_HTTP2,
    "Answers of an upstream over HTTP/2: wrong lengths": WRONG_LENGTH_HTTP2,
    "Answers of an upstream over HTTP/2: after the end of an answer": AFTER_THE_END_HTTP2,
    "Answers of an upstream over HTTP/2: odd, and sound": SOUND_HTTP2,
}
