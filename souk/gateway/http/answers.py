"""The answers to HTTP requests: whole, or with a body that comes as a stream."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from souk.kernel.errors import SoukError

Headers = list[tuple[bytes, bytes]]
JSON = (b"content-type", b"application/json")
BODILESS = frozenset({204, 205, 304})
"""Statuses whose answer has no body (RFC 9110, 6.4.1 and 15.3.6)."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A complete HTTP answer. The gateway adds the content length and its own headers when it sends it."""

    status: int
    headers: Headers
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """An answer whose body comes in parts. Each part is sent as it comes, and no part is asked for before the client
    has room for it.

    `headers` has a content length only if it is known: the body must have exactly that length. The gateway closes
    `body` (`aclose`) in every case: at its end, when the client goes away, and when no body may be sent. `body` raises
    BodyLost when the rest cannot come; the client's connection then ends so that the answer is seen to be incomplete.
    """

    status: int
    headers: Headers
    body: AsyncGenerator[bytes, None]


Answer = HttpAnswer | StreamedAnswer


class BodyLost(SoukError):
    """The rest of a streamed answer's body cannot come; its text is for the log."""
