"""The rules for metadata, the same in every transport; they are gRPC's own.

Keys are lower case letters, digits, `_`, `-` and `.`; values are printable ASCII, or octets under a
key that ends in `-bin`. Keys that gRPC itself writes are dropped. All pairs of one direction may take
8 KiB, where each counts 32 octets more than its key and value (RFC 9113, 6.5.2).
"""

import re
from collections.abc import Iterable
from typing import TypeAlias

import grpc.aio

from souk.rpc.call import Pairs

LIMIT = 8_192
IDEMPOTENCY_KEY = "idempotency-key"
TRACEPARENT = "traceparent"
REPLAYED = ("idempotent-replayed", "true")
RESERVED_PREFIX = "souk-"

Given: TypeAlias = Iterable[tuple[str, str | bytes]] | None

_PAIR = 32
_KEY = re.compile(r"[0-9a-z_.-]+")
_TEXT = re.compile(r"[\x20-\x7e]*")
_WRITTEN_BY_GRPC = frozenset(
    ("content-type", "te", "user-agent", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding", "grpc-status",
     "grpc-message", "grpc-internal-encoding-request")
)  # fmt: skip


class InvalidMetadata(grpc.aio.InternalError):
    """A key or value that gRPC does not carry; raised to the code that gave the metadata."""


def checked(given: Given) -> Pairs:
    """Returns the pairs as they will arrive. Raises InvalidMetadata, or TypeError for a value of the wrong type."""
    if not given:
        return ()
    return tuple(_pair(key, value) for key, value in given if key not in _WRITTEN_BY_GRPC)


def _pair(key: str, value: str | bytes) -> tuple[str, str | bytes]:
    if not _KEY.fullmatch(key):
        raise InvalidMetadata(f"the metadata key {key!r} is not valid")
    if key.endswith("-bin"):
        if not isinstance(value, bytes):
            raise TypeError(f"the metadata key {key!r} takes bytes, not {type(value).__name__}")
        return key, value
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise TypeError(f"the metadata key {key!r} takes str, not {type(text).__name__}")
    if not _TEXT.fullmatch(text):
        raise InvalidMetadata(f"the value of the metadata key {key!r} is not printable ASCII")
    return key, text


def size(pairs: Pairs) -> int:
    """Returns what the pairs count against the limit, in octets."""
    octets = 0
    for key, value in pairs:
        octets += len(key) + len(value) + _PAIR
    return octets


def first(pairs: Iterable[tuple[str, str | bytes]], key: str) -> str:
    """Returns the first text under a key; empty if there is none."""
    return next((value for name, value in pairs if name == key and isinstance(value, str)), "")
