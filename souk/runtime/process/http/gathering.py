"""A transport with one system call for an answer instead of two, and with an end that loses no answer.

uvicorn writes the head of an answer and its body apart, and uvloop hands each to the system at once where
nothing waits before it. Both go together here: what is written in one turn of the event loop is sent at its end.

Closed at once, a socket with unread octets, or one that more octets come to, is reset, and the answer that was
just written is lost with it. So this end is closed first; the other is read from, and forgotten, for a while.
"""

import asyncio
from contextlib import suppress
from typing import Any

from souk.runtime.process.http.limits import LINGER

MOST = 64 * 1024
"""Octets that are kept back; what is longer goes at once, so that the transport can ask the writer to wait."""
MOST_DISCARDED = 8 * 1024 * 1024
"""Octets that are read and forgotten after the end."""


class Gathering:
    """A transport that sends at the end of the event loop's turn. `sent` counts the octets."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []
        self._size = 0
        self._discarded = 0
        self._closed = False
        self.sent = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Sends `data` soon, in order; nothing any more once this end is closed."""
        if self._closed:
            return
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)
        self._size += len(data)
        if self._size > MOST:
            self._send()

    def is_closing(self) -> bool:
        """Whether this end is closed, or about to be."""
        return self._closed or self._transport.is_closing()

    def close(self) -> None:
        """Sends what is there, closes this end, and the connection once the peer has closed or LINGER is over."""
        if self.is_closing():
            return
        self._send()
        self._closed = True
        with suppress(OSError, RuntimeError):  # the peer may be gone, and the loop not know yet
            self._transport.write_eof()
            self._transport.resume_reading()
        self._loop.call_later(LINGER, self._end)

    def discard(self, octets: int) -> None:
        """Counts what came after the end; ends the connection when it does not stop."""
        self._discarded += octets
        if self._discarded > MOST_DISCARDED:
            self._transport.abort()

    def _end(self) -> None:
        if self._transport.get_write_buffer_size():  # the peer still reads; whoever watches it ends it
            self._loop.call_later(LINGER, self._end)
        else:
            self._transport.abort()

    def _send(self) -> None:
        if self._parts:
            parts, self._parts, self._size = self._parts, [], 0
            octets = b"".join(parts)
            self.sent += len(octets)
            if not self._transport.is_closing():
                self._transport.write(octets)
