"""Pages of a list: how many, and from where on.

A page token is opaque to clients: the sort key of the last row shown (keyset paging), as base64url
of a JSON array. It is not signed; a service treats what it decodes as input, and binds it to its
query with `query_digest`, so that a token of one list is refused by another.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence

from google.protobuf.message import Message

from souk.kernel.errors import InvalidArgument, Violation

DEFAULT_PAGE_SIZE = 20
_MAX_TOKEN_LENGTH = 4_096
_INT64 = 2**63

Part = str | int


def page_size_of(message: Message) -> int:
    """The request's `page_size`, or 20; which sizes there are is for the contract to say."""
    if not message.HasField("page_size"):
        return DEFAULT_PAGE_SIZE
    size: int = getattr(message, "page_size")  # noqa: B009 (Message has no such attribute statically)
    return size


def encode_token(*parts: Part) -> str:
    """A URL-safe token that `decode_token` turns back into `parts`."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def decode_token(token: str, kinds: Sequence[type[str] | type[int]]) -> tuple[Part, ...]:
    """The parts of a token, which must be of these kinds; raises InvalidArgument for any other text.

    Integers fit into 64 bits and strings hold neither NUL nor lone surrogates: a database takes them.
    """
    try:
        parts = _parse(token)
    except (ValueError, binascii.Error, RecursionError):
        raise _garbage() from None
    if not isinstance(parts, list) or len(parts) != len(kinds):
        raise _garbage()
    if not all(type(part) is kind and _storable(part) for part, kind in zip(parts, kinds, strict=True)):
        raise _garbage()
    return tuple(parts)


def query_digest(*parts: Part | None) -> str:
    """Short text that stands for a query: put it into its tokens and `require_same_query` of them."""
    canonical = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def require_same_query(digest: Part, expected: str) -> None:
    """Raises InvalidArgument when a token was given out for another query."""
    if digest != expected:
        raise InvalidArgument([Violation("page_token", "belongs to another query")])


def _parse(token: str) -> object:
    if not token.isascii() or len(token) > _MAX_TOKEN_LENGTH:
        raise ValueError("no token of ours")
    raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    return json.loads(raw.decode())


def _storable(part: Part) -> bool:
    if isinstance(part, int):
        return -_INT64 <= part < _INT64
    return "\0" not in part and not any("\ud800" <= char <= "\udfff" for char in part)


def _garbage() -> InvalidArgument:
    return InvalidArgument([Violation("page_token", "is not a token that was given out")])
