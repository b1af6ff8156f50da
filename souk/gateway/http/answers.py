"""The answers to HTTP requests: whole, or with a body that comes as a stream."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

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

    `trailers` follow the body, where the client's protocol has them (`Request.takes_trailers`); `body` may fill them
    until its end. None means that there are none.
    """

    status: int
    headers: Headers
    body: AsyncGenerator[bytes, None]
    trailers: Headers | None = None


class SwitchedProtocol(asyncio.Protocol):
    """What a connection goes on as."""

    def go_away(self) -> None:
        """Called once when the server stops: a client that can be told is told, and the connection ended soon."""


class SwitchingClient(Protocol):
    """A client's connection that can go on as another protocol."""

    def switch(self, head: bytes, to: SwitchedProtocol) -> tuple[asyncio.Transport, bytes]:
        """Sends the head of a 101; from now on `to` gets what the client sends, and all other calls of the transport.

        Returns the transport, and what the client has sent already. `to` passes the loss of the connection on to
        `switched_off`.
        """
        ...

    def switched_off(self, error: Exception | None) -> None:
        """Notes that the connection, which goes on as another protocol, is lost."""
        ...


class Tunnelled(Protocol):
    """The other end of a connection that goes on as another protocol."""

    async def run(self, client: SwitchingClient, head: bytes) -> None:
        """Sends the head, and then octets both ways until either side ends or this is cancelled."""
        ...

    def close(self) -> None:
        """Ends a connection that is not gone on with."""
        ...


@dataclass(frozen=True, slots=True)
class SwitchedAnswer:
    """An answer with which the connection goes on as another protocol, such as WebSocket (101)."""

    status: int
    headers: Headers
    tunnel: Tunnelled


Answer = HttpAnswer | StreamedAnswer | SwitchedAnswer


class BodyLost(SoukError):
    """The rest of a streamed answer's body cannot come; its text is for the log."""
