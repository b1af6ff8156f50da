"""Pages of a list: the size of a page, and the row after which it begins.

    page = page_of(request, (int, str), caller="U-1")     # the sort key is an int and a str; the list is U-1's
    rows = ... after page.after, page.size + 1 of them
    shown, token = page.cut(rows, lambda row: (row.created_at, row.id))

A page token is opaque to clients. It is base64url of a JSON array: a digest of the list that the token belongs to,
then the sort key of the last row shown (keyset paging). The digest covers the caller and the request without its page,
and so the method and every filter and order: a token of another list is refused. The token is not signed: with a
made-up token a client can only begin at another row of a list that it may read, and a service treats the content as
input. An empty token means the first page, as a missing one does (https://google.aip.dev/158).
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message

from souk.kernel.errors import InvalidArgument, Violation

DEFAULT_PAGE_SIZE = 20
_MAX_TOKEN_LENGTH = 4_096
_INT64 = 2**63

SHARED_LIST = ""
"""The `caller` of a list that is the same for all callers."""
_OWN_FIELDS = ("page_size", "page_token")

Part = str | int
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageAsked:
    """The page that a request asks for: `size` rows after the row whose sort key is `after` (None: the first page)."""

    size: int
    after: tuple[Part, ...] | None
    list_digest: str

    def cut(self, found: Sequence[T], key: Callable[[T], tuple[Part, ...]]) -> tuple[Sequence[T], str | None]:
        """Returns the rows to show of up to `size` + 1 found, and the token of the next page; None on the last page."""
        shown = found[: self.size]
        return shown, encode_token(self.list_digest, *key(shown[-1])) if len(found) > self.size else None


def page_of(request: Message, kinds: Sequence[type[str] | type[int]], *, caller: str) -> PageAsked:
    """Reads the page that a request asks for; `kinds` are the types of the sort key's parts.

    Raises InvalidArgument for a token of another list, and for a text that is no token.
    """
    digest, size = _list_digest(request, caller), page_size_of(request)
    token: str = getattr(request, "page_token")  # noqa: B009 (Message has no such attribute statically)
    if not token:
        return PageAsked(size, None, digest)
    bound_to, *after = decode_token(token, (str, *kinds))
    if bound_to != digest:
        raise InvalidArgument([Violation("page_token", "belongs to another list, filter, order or caller")])
    return PageAsked(size, tuple(after), digest)


def _list_digest(request: Message, caller: str) -> str:
    query = type(request)()
    query.CopyFrom(request)
    query.DiscardUnknownFields()
    for field in _OWN_FIELDS:
        query.ClearField(field)
    named = f"{request.DESCRIPTOR.full_name}\0{caller}\0".encode()
    digest = hashlib.sha256(named + query.SerializeToString(deterministic=True))
    return base64.urlsafe_b64encode(digest.digest()[:12]).decode()


def page_size_of(message: Message) -> int:
    """Returns the request's `page_size`, or 20 if it has none; the contract limits the sizes."""
    if not message.HasField("page_size"):
        return DEFAULT_PAGE_SIZE
    size: int = getattr(message, "page_size")  # noqa: B009 (Message has no such attribute statically)
    return size


def encode_token(*parts: Part) -> str:
    """Makes a URL-safe token that `decode_token` turns back into `parts`."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def decode_token(token: str, kinds: Sequence[type[str] | type[int]]) -> tuple[Part, ...]:
    """Returns the parts of a token, which must be of these types. Raises InvalidArgument for any other text.

    A database can store every part: integers fit into 64 bits, strings hold neither NUL nor lone surrogates.
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


def _parse(token: str) -> object:
    if not token.isascii() or len(token) > _MAX_TOKEN_LENGTH:
        raise ValueError("not a token of this system")
    raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    return json.loads(raw.decode())


def _storable(part: Part) -> bool:
    if isinstance(part, int):
        return -_INT64 <= part < _INT64
    return "\0" not in part and not any("\ud800" <= char <= "\udfff" for char in part)


def _garbage() -> InvalidArgument:
    return InvalidArgument([Violation("page_token", "is not a page token of this system")])
