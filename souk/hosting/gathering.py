"""The HTTP server's protocol, with one system call for an answer instead of two.

uvicorn writes the head of an answer and its body apart, and uvloop hands each to the system at once where
nothing waits before it. Both go together here: what is written in one turn of the event loop is sent at its end.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST = 64 * 1024
"""Octets that are kept back; what is longer goes at once, so that the transport can ask the writer to wait."""


class Gathering:
    """A transport that sends at the end of the event loop's turn."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Sends `data` soon, in order."""
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)
        self._size += len(data)
        if self._size > MOST:
            self._send()

    def close(self) -> None:
        """Sends what is there, and closes."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._parts:
            parts, self._parts, self._size = self._parts, [], 0
            self._transport.write(b"".join(parts))


class GatheringProtocol(HttpToolsProtocol):
    """uvicorn's own, over such a transport."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        super().connection_made(Gathering(transport, self.loop))  # type: ignore[arg-type]  # it does what is asked of one
