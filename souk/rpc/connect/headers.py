"""Translates metadata to HTTP/1.1 headers, and back.

Octets are sent in base64 without padding, under keys that end in `-bin`. When HTTP/1.1 cannot carry a pair
as it is (a value that begins or ends with a space, a key that HTTP or Connect reserves), all pairs of that
direction are sent in the header `souk-metadata-bin` as well; peers other than Souk then see the headers that HTTP
does carry.
"""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterable
from functools import lru_cache

import orjson

from souk.rpc.call import Pairs
from souk.rpc.metadata import InvalidMetadata, checked

TRAILER = "trailer-"
_EXACT = "souk-metadata-bin"
_RESERVED = ("connect-", TRAILER)
_HTTPS_OWN = frozenset(
    ("accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "date", "expect",
     "host", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "user-agent")
)  # fmt: skip
_KEY_LETTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyz_.-")

Raw = Iterable[tuple[bytes, bytes]]


def lines(pairs: Pairs, prefix: str = "") -> str:
    """Returns metadata as header lines, with line ends. Raises InvalidMetadata for a value that holds a line end."""
    block, exact = "", False
    for key, value in pairs:
        if key in _HTTPS_OWN or key.startswith(_RESERVED):
            exact = True
            continue
        if isinstance(value, bytes):
            text = b64encode(value).decode().rstrip("=")
        else:
            text = value
            exact = exact or value[:1] == " " or value[-1:] == " "
        block += f"{prefix}{key}: {text}\r\n"
    if exact:
        return f"{block}{prefix}{_EXACT}: {_packed(pairs)}\r\n"
    if block.count("\n") != len(pairs):
        raise InvalidMetadata("a value of the metadata holds the end of a line")
    return block


@lru_cache(1_024)
def key_of(name: bytes) -> str:
    """Returns a header's name in lower case; empty when it is no valid key of metadata."""
    key = name.decode("latin-1").lower()
    return key if _KEY_LETTERS.issuperset(key) else ""


def pair_of(key: str, value: bytes) -> tuple[str, str | bytes]:
    """Returns one pair of metadata. Raises InvalidMetadata when the value is not valid for its key."""
    try:
        if key.endswith("-bin"):
            return key, unpacked(value)
        text = value.decode("ascii")
    except ValueError as error:
        raise InvalidMetadata(f"the value of the metadata key {key!r} is not valid") from error
    if not text.isprintable():
        raise InvalidMetadata(f"the value of the metadata key {key!r} is not printable ASCII")
    return key, text


def pairs_of(received: Raw) -> Pairs:
    """Reads metadata from headers, without those that HTTP or Connect reserves. Raises InvalidMetadata."""
    pairs: list[tuple[str, str | bytes]] = []
    for name, value in received:
        key = key_of(name)
        if not key or key in _HTTPS_OWN or key.startswith("connect-"):
            continue
        if key == _EXACT:
            return _exact(value)
        if key.endswith("-bin") and b"," in value:
            pairs.extend(pair_of(key, part) for part in value.split(b","))
        else:
            pairs.append(pair_of(key, value))
    return tuple(pairs)


def split(received: Raw) -> tuple[Pairs, Pairs]:
    """Splits the headers of an answer into initial and trailing metadata. Raises InvalidMetadata."""
    initial: list[tuple[bytes, bytes]] = []
    trailing: list[tuple[bytes, bytes]] = []
    for name, value in received:
        if key_of(name).startswith(TRAILER):
            trailing.append((name[len(TRAILER) :], value))
        else:
            initial.append((name, value))
    return pairs_of(initial), pairs_of(trailing) if trailing else ()


def unpacked(value: bytes) -> bytes:
    """Decodes base64, with padding or without. Raises ValueError."""
    text = value.strip(b" \t").rstrip(b"=")
    return b64decode(text + b"=" * (-len(text) % 4), validate=True)


def _packed(pairs: Pairs) -> str:
    shown = [(key, b64encode(value).decode() if isinstance(value, bytes) else value) for key, value in pairs]
    return b64encode(orjson.dumps(shown)).decode().rstrip("=")


def _exact(value: bytes) -> Pairs:
    try:
        shown = [(str(key), str(text)) for key, text in orjson.loads(unpacked(value))]
        return checked([(key, b64decode(text) if key.endswith("-bin") else text) for key, text in shown])
    except (ValueError, TypeError, NotBase64) as error:
        raise InvalidMetadata(f"the value of the metadata key {_EXACT!r} is not valid") from error
