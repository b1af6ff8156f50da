"""Answers of an upstream that is hostile, or broken: what the gateway makes of them.

What an upstream says could be taken for more than one answer (response splitting), keep the gateway reading, or say
things to the client that only the gateway may say.
"""

from dataclasses import dataclass

OK = b"HTTP/1.1 200 OK\r\n"
CODED = b"transfer-encoding: chunked\r\n"
LAST = b"0\r\n\r\n"
LONG = b"x" * 70_000
CHUNKED = b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
_BAD_GATEWAY = "502, the connection to the upstream ends"
_BROKEN = "the client's answer is broken off, and never looks complete"


@dataclass(frozen=True)
class HostileAnswer:
    """What an upstream sends, where that is forbidden, and what is expected, in a few words."""

    name: str
    source: str
    octets: bytes
    outcome: str


def _refused(name: str, source: str, octets: bytes) -> HostileAnswer:
    return HostileAnswer(name, source, octets, _BAD_GATEWAY)


def _broken(name: str, source: str, octets: bytes) -> HostileAnswer:
    return HostileAnswer(name, source, octets, _BROKEN)


UNSOUND = (
    _refused("no HTTP", "RFC 9112, 4", b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    _refused("no status", "RFC 9112, 4", b"HTTP/1.1 OK\r\n\r\n"),
    _refused("a status of no class", "RFC 9110, 15", b"HTTP/1.1 600 What\r\ncontent-length: 0\r\n\r\n"),
    _refused("a status below all", "RFC 9110, 15", b"HTTP/1.1 099 What\r\ncontent-length: 0\r\n\r\n"),
    _refused("two lengths", "RFC 9112, 6.3", OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nok"),
    _refused("twice the same length", "RFC 9112, 6.3", OK + b"content-length: 2\r\ncontent-length: 2\r\n\r\nok"),
    _refused("a list of lengths", "RFC 9112, 6.3", OK + b"content-length: 2, 2\r\n\r\nok"),
    _refused("a length and chunks", "RFC 9112, 6.3", OK + b"content-length: 2\r\n" + CHUNKED),
    _refused(
        "chunks and a length",
        "RFC 9112, 6.3",
        OK + CODED + b"content-length: 2" + CHUNKED[26:],
    ),
    _refused("a negative length", "RFC 9112, 6.3", OK + b"content-length: -2\r\n\r\nok"),
    _refused("a length with a sign", "RFC 9112, 6.3", OK + b"content-length: +2\r\n\r\nok"),
    _refused("a huge length", "RFC 9112, 6.3", OK + b"content-length: 99999999999999999999999\r\n\r\nok"),
    _refused("an unknown coding", "RFC 9112, 6.3", OK + b"transfer-encoding: gzip\r\n\r\nok"),
    _refused(
        "a coding before chunked",
        "RFC 9112, 6.3",
        OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    _refused(
        "chunked twice",
        "RFC 9112, 6.3",
        OK + CODED + CODED + b"\r\n" + LAST,
    ),
    _refused("chunks in HTTP/1.0", "RFC 9112, 6.3", b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    _refused("a folded line", "RFC 9112, 5.2", OK + b"x-a: 1\r\n  2\r\ncontent-length: 0\r\n\r\n"),
    _refused("a space before the colon", "RFC 9112, 5.1", OK + b"content-length : 2\r\n\r\nok"),
    _refused("a control character", "RFC 9110, 5.5", OK + b"x-a: \x01\r\ncontent-length: 0\r\n\r\n"),
    _refused("a zero", "RFC 9110, 5.5", OK + b"x-a: \x00\r\ncontent-length: 0\r\n\r\n"),
    _refused(
        "another protocol",
        "RFC 9110, 7.8",
        b"HTTP/1.1 101 Switched\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ),
    _refused("a long head", "RFC 6585, 5", OK + b"x-a: " + LONG + b"\r\n\r\n"),
    _refused("many headers", "RFC 6585, 5", OK + b"x-a: 1\r\n" * 300 + b"\r\n"),
    _refused("interim answers without end", "RFC 9110, 15.2", b"HTTP/1.1 102 Processing\r\nx-a: 1\r\n\r\n" * 20_000),
    _refused(
        "a header after a bare CR",
        "RFC 9112, 2.2",
        OK + b"x-a: 1\rset-cookie: a=b\r\ncontent-length: 0\r\n\r\n",
    ),
    _refused("a second answer after a bare CR", "RFC 9112, 2.2", OK + b"x-a: 1\r\rHTTP/1.1 200 OK\r\n\r\n"),
    _refused("a name with a space", "RFC 9110, 5.1", OK + b"x a: 1\r\ncontent-length: 0\r\n\r\n"),
    _refused("a field without a name", "RFC 9110, 5.1", OK + b": 1\r\ncontent-length: 0\r\n\r\n"),
    _refused("a reason without end", "RFC 9112, 4", b"HTTP/1.1 200 " + LONG),
    _refused("a name without end", "RFC 6585, 5", OK + LONG),
    _refused("a length in hexadecimal", "RFC 9110, 8.6", OK + b"content-length: 0x2\r\n\r\nok"),
    _refused("hints without end", "RFC 8297", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 20_000),
    _refused("a hint with a long head", "RFC 6585, 5", b"HTTP/1.1 103 Early Hints\r\nlink: " + LONG + b"\r\n\r\n"),
)
"""Heads that are refused."""

BROKEN_OFF = (
    _broken("a size that is no number", "RFC 9112, 7.1", b"zz\r\nok\r\n"),
    _broken("a size with a minus", "RFC 9112, 7.1", b"-2\r\nok\r\n"),
    _broken("a size with a plus", "RFC 9112, 7.1", b"+2\r\nok\r\n0\r\n\r\n"),
    _broken("a size in the form 0x2", "RFC 9112, 7.1", b"0x2\r\nok\r\n0\r\n\r\n"),
    _broken("a space after the size, and a chunk without an end", "RFC 9112, 7.1", b"2 \r\nokXX"),
    _broken("a size beyond 64 bits", "RFC 9112, 7.1", b"fffffffffffffffff\r\nok"),
    _broken("a chunk longer than its size", "RFC 9112, 7.1", b"2\r\nokk\r\n"),
    _broken("an extension of a chunk without end", "RFC 9112, 7.1.1", b"2;" + LONG),
    _broken("a trailer without end", "RFC 9112, 7.1.2", b"0\r\nx-a: " + LONG),
    _broken("a trailer of many fields", "RFC 9112, 7.1.2", b"0\r\n" + b"x-a: 1\r\n" * 20_000),
    _broken("a trailer with a bare CR", "RFC 9112, 2.2", b"0\r\nx-a: 1\rx-b: 2\r\n\r\n"),
)
"""What comes in place of a chunk, after the head and one chunk that are sound."""

ANSWER_PARTS = {"Answers of an upstream: heads": UNSOUND, "Answers of an upstream: chunks and trailers": BROKEN_OFF}
"""The rows by the title of their part."""
