"""Chooses how an answer is compressed by Accept-Encoding (RFC 9110, 12.5.3), and compresses it."""

import zlib
from collections.abc import Callable, Mapping

import brotli
import zstandard

_GZIP = 16 + zlib.MAX_WBITS
_GZIP_LEVEL, _BROTLI_QUALITY, _ZSTD_LEVEL = 5, 4, 3
"""About the same time for the same octets; higher ones take many times as long for a few per cent."""


def _gzip(octets: bytes) -> bytes:
    deflate = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP)
    return deflate.compress(octets) + deflate.flush()


def _brotli(octets: bytes) -> bytes:
    return bytes(brotli.compress(octets, quality=_BROTLI_QUALITY))


def _zstd(octets: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(octets)


ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {"zstd": _zstd, "br": _brotli, "gzip": _gzip}
"""The encodings by name; of those that a client likes as much, the first is chosen."""


def chosen(accepted: str) -> str:
    """Returns the encoding that a client prefers by its Accept-Encoding; empty for none."""
    if not accepted:
        return ""
    weights = dict(_weight(part) for part in accepted.lower().split(","))
    others = weights.get("*", 0.0)
    best, least = "", 0.0
    for name in ENCODERS:
        weight = weights.get(name, others)
        if weight > least:
            best, least = name, weight
    return best if least >= weights.get("identity", 0.0) else ""


def _weight(part: str) -> tuple[str, float]:
    """Reads one coding; a weight that is none counts as 0, so that what cannot be read is not done."""
    name, *parameters = (piece.strip() for piece in part.split(";"))
    name = "gzip" if name == "x-gzip" else name
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return name, 0.0
            return name, weight if 0.0 <= weight <= 1.0 else 0.0
    return name, 1.0
