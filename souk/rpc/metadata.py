"""The rules for metadata, the same in every transport; they are gRPC's own.

Keys are lower case letters, digits, `_`, `-` and `.`; values are printable ASCII, or octets under a
key that ends in `-bin`. Keys that gRPC itself writes are dropped. All pairs of one direction may take
8 KiB, where each counts 32 octets more than its key and value (RFC 9113, 6.5.2).
"""

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import grpc.aio

from souk.kernel.context import MOST_RELEASES
from souk.rpc.call import Pairs

LIMIT = 8_192
IDEMPOTENCY_KEY = "idempotency-key"
TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
RELEASE = "souk-release"
"""The key of the releases that a request has met so far, as `service=version` with commas in between; an empty version
is the baseline. A tester's request also has the mark of TESTER there, as `x-tester=mark`."""
TESTER = "x-tester"
"""The header by which a client of the gateway says that it is a tester. Its mark goes on with all that follows from the
request, sagas among it, so that each service with a canary for the mark answers in that version."""
REPLAYED = ("idempotent-replayed", "true")
RESERVED_PREFIX = "souk-"

Given: TypeAlias = Iterable[tuple[str, str | bytes]] | None

_PAIR = 32
_KEY = re.compile(r"[0-9a-z_.-]+")
_MARK = re.compile(r"[A-Za-z0-9._-]{1,40}")
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


def releases_text(releases: Mapping[str, str]) -> str:
    """Writes releases by service as the value of RELEASE; empty for none."""
    return ",".join(f"{service}={version}" for service, version in releases.items())


def read_releases(text: str) -> dict[str, str]:
    """Reads what `releases_text` writes. What is no pair is left out."""
    pairs = (one.partition("=") for one in text.split(",")[:MOST_RELEASES])
    return {service: version for service, equals, version in pairs if service and equals}


def tester_releases(mark: str) -> dict[str, str]:
    """Returns what leads a tester's request to the version of a canary. A mark is 1 to 40 letters, digits, '.', '_' and
    '-'; what is none leads nowhere."""
    return {TESTER: mark} if _MARK.fullmatch(mark) else {}


def size(pairs: Pairs) -> int:
    """Returns what the pairs count against the limit, in octets."""
    octets = 0
    for key, value in pairs:
        octets += len(key) + len(value) + _PAIR
    return octets


def first(pairs: Iterable[tuple[str, str | bytes]], key: str) -> str:
    """Returns the first text under a key; empty if there is none."""
    for name, value in pairs:
        if name == key and isinstance(value, str):
            return value
    return ""
