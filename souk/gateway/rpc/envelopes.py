"""Messages in a body: each with five octets before it, a flag and the length (grpc.io, "gRPC over HTTP2").

    flags (1 octet) | length (4 octets, big endian) | message

A message may be compressed with gzip, which its flag tells. No message may be larger than the limit, compressed or not.
"""

import binascii
import re
import zlib
from base64 import b64decode
from collections.abc import AsyncIterator
from struct import Struct

from souk.gateway.http.problem import Problem, invalid
from souk.gateway.rpc.statuses import CUT_OFF, WRONG_FLAGS
from souk.kernel.errors import Violation

COMPRESSED, END = 0x01, 0x02
TRAILERS = 0x80
"""The flag of gRPC-Web's last message, which holds the trailers."""
_PREFIX = Struct(">BI")
_GZIP = 16 + zlib.MAX_WBITS


def enveloped(message: bytes, flags: int = 0) -> bytes:
    """Puts the prefix before a message."""
    return _PREFIX.pack(flags, len(message)) + message


def too_large(limit: int) -> Problem:
    """Makes the problem of a message above the limit."""
    return Problem(413, "BODY_TOO_LARGE", f"a message is larger than {limit} bytes")


def unpacked(octets: bytes, limit: int) -> bytes:
    """Decompresses gzip. Raises Problem 400 for what is no gzip, and 413 for more than `limit` octets."""
    inflate = zlib.decompressobj(_GZIP)
    try:
        plain = inflate.decompress(octets, limit + 1)
    except zlib.error:
        raise invalid([Violation("body", "is not valid gzip")]) from None
    if len(plain) > limit:
        raise too_large(limit)
    if not inflate.eof or inflate.unused_data:
        raise invalid([Violation("body", "is not valid gzip")])
    return plain


async def messages_in(body: AsyncIterator[bytes], limit: int, *, gzip: bool) -> AsyncIterator[bytes]:
    """Yields the messages of a body. `gzip` says whether its head announced that messages may be compressed.

    Raises Problem 400 for a body that is not made of whole messages, and 413 for a message that is too large.
    """
    held = bytearray()
    async for part in body:
        held += part
        while len(held) >= _PREFIX.size:
            flags, length = _PREFIX.unpack_from(held)
            if length > limit:
                raise too_large(limit)
            if flags & ~COMPRESSED or (flags and not gzip):
                raise Problem(400, WRONG_FLAGS, f"a message has the flags {flags:#04x}, which mean nothing here")
            if len(held) < _PREFIX.size + length:
                break
            message = bytes(held[_PREFIX.size : _PREFIX.size + length])
            del held[: _PREFIX.size + length]
            yield unpacked(message, limit) if flags else message
    if held:
        raise Problem(400, CUT_OFF, "the body ends within a message")


async def from_base64(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Decodes base64 in parts of any length; clients encode message by message, so padding may be anywhere.

    Raises Problem 400 for what is not base64.
    """
    held = b""
    async for part in body:
        held += part
        whole = len(held) - len(held) % 4
        for piece in _pieces(held[:whole]):
            yield piece
        held = held[whole:]
    if held:
        raise _not_base64()


def _pieces(text: bytes) -> list[bytes]:
    try:
        return [b64decode(piece, validate=True) for piece in re.findall(rb"[^=]+={0,2}|=+", text)]
    except binascii.Error:
        raise _not_base64() from None


def _not_base64() -> Problem:
    return invalid([Violation("body", "is not base64")])
