"""Changes octets in the ways that parsers stumble over."""

from collections.abc import Callable, Sequence
from random import Random

PIECES: Sequence[bytes] = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\n\n",
    b" ",
    b"\t",
    b"\x00",
    b"\x0b",
    b"\xff",
    b":",
    b",",
    b";",
    b"%",
    b"%00",
    b"%2f",
    b"0",
    b"-1",
    b"+",
    b"0x",
    b"ffffffffffffffff",
    b"18446744073709551616",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"chunked",
    b"identity",
    b"content-length: 5\r\n",
    b"content-length: 0\r\n",
    b"transfer-encoding: chunked\r\n",
    b"host: evil\r\n",
    b"connection: close\r\n",
    b"connection: keep-alive, te\r\n",
    b"expect: 100-continue\r\n",
    b"upgrade: websocket\r\n",
    b"GET /up/evil HTTP/1.1\r\nhost: x\r\n\r\n",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"POST",
    b"HEAD",
    b"OPTIONS",
    b"/../",
    b"//",
    b"?",
    b"#",
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"\\u0000",
    b"\\ud800",
    b"NaN",
    b"1e999",
    b"null",
    b"\xc3\x28",
    b"\xed\xa0\x80",
)


def _flip(octets: bytearray, random: Random) -> None:
    octets[random.randrange(len(octets))] ^= 1 << random.randrange(8)


def _overwrite(octets: bytearray, random: Random) -> None:
    octets[random.randrange(len(octets))] = random.randrange(256)


def _cut(octets: bytearray, random: Random) -> None:
    start = random.randrange(len(octets))
    del octets[start : start + random.choice((1, 1, 2, 4, 16, 100))]


def _insert(octets: bytearray, random: Random) -> None:
    at = random.randrange(len(octets) + 1)
    octets[at:at] = random.choice(PIECES)


def _replace(octets: bytearray, random: Random) -> None:
    at = random.randrange(len(octets))
    piece = random.choice(PIECES)
    octets[at : at + len(piece)] = piece


def _repeat(octets: bytearray, random: Random) -> None:
    start = random.randrange(len(octets))
    piece = octets[start : start + random.choice((1, 4, 20, 200))]
    octets[start:start] = piece * random.choice((1, 1, 2, 50))


def _swap(octets: bytearray, random: Random) -> None:
    one, other = random.randrange(len(octets)), random.randrange(len(octets))
    size = random.choice((1, 4, 16))
    octets[one : one + size], octets[other : other + size] = octets[other : other + size], octets[one : one + size]


_CHANGES: Sequence[Callable[[bytearray, Random], None]] = (
    _flip,
    _overwrite,
    _cut,
    _insert,
    _insert,
    _replace,
    _repeat,
    _swap,
)


def mutated(octets: bytes, random: Random) -> bytes:
    """Gives the octets with a few changes; now and then with none."""
    changed = bytearray(octets)
    for _ in range(random.choice((0, 1, 1, 1, 2, 3, 5, 10))):
        if changed:
            random.choice(_CHANGES)(changed, random)
    return bytes(changed)


def spliced(octets: bytes, other: bytes, random: Random) -> bytes:
    """Gives the beginning of one and the end of the other."""
    return octets[: random.randrange(len(octets) + 1)] + other[random.randrange(len(other) + 1) :]
