"""A transport that sends a response with one system call instead of two, and closes without losing a response.

uvicorn writes the head and the body of a response separately, and uvloop hands each to the system at once if its
buffer is empty. Here both go together: what is written in one turn of the event loop is sent at its end.

When a socket is closed while it has unread octets, or gets more afterwards, the connection is reset, and the
response that was just written is lost. So only the sending side is closed first; octets that still come are read and
discarded for a while.
"""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Any

from souk.runtime.process.http.limits import LINGER, HttpLimits
from souk.runtime.process.sockets import not_taken

MOST = 64 * 1024
"""Octets that are held back; more are sent at once, so that the transport can ask the writer to wait."""
_RESET = struct.pack("ii", 1, 0)
MOST_DISCARDED = 8 * 1024 * 1024
"""Octets that are read and discarded after this side was closed; after more the connection is aborted."""


class Gathering:
    """A transport that sends at the end of the event loop's turn. `sent` counts the octets that were sent."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []
        self._size = 0
        self._discarded = 0
        self._closed = False
        self._writing: tuple[float, int] | None = None
        self.sent = self._taken = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Sends `data` soon and in order; discards it once this side is closed."""
        if self._closed:
            return
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)
        self._size += len(data)
        if self._size > MOST:
            self._send()

    def is_stuck(self, now: float, limits: HttpLimits) -> bool:
        """Tells whether the peer takes what is sent too slowly; `now` is the time of the event loop."""
        left = self._left()
        if not left:
            self._writing = None
            return False
        taken = self.sent - left
        if self._writing is None:
            self._writing = now, taken
        began, before = self._writing
        return bool(now - began > limits.write + (taken - before) / limits.slowest)

    def is_closing(self) -> bool:
        """Tells whether this side is closed, or about to be."""
        return self._closed or self._transport.is_closing()

    def close(self) -> None:
        """Sends what was held back, closes this side, and ends the connection once the peer has closed, or after
        LINGER seconds."""
        if self.is_closing():
            return
        self._send()
        self._closed = True
        with suppress(OSError, RuntimeError):  # the peer may have left before the loop knows it
            if self._transport.can_write_eof():  # TLS closes both directions at once, and says so to the peer
                self._transport.write_eof()
            self._transport.resume_reading()
        self._loop.call_later(LINGER, self._end)

    def reset(self) -> None:
        """Sends what was held back, if there is room for it, and resets the connection (RST instead of an end)."""
        if self._transport.can_write_eof():
            self._send()
            self.drop()
        else:
            self.close()

    def drop(self) -> None:
        """Resets the connection, and drops what the peer has not taken: the system would keep it, and the connection,
        for as long as the peer does not read."""
        self._closed = True
        with suppress(OSError):
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def discard(self, octets: int) -> None:
        """Counts octets that came after this side was closed; aborts the connection after MOST_DISCARDED."""
        self._discarded += octets
        if self._discarded > MOST_DISCARDED:
            self.drop()

    def _end(self) -> None:
        if self._transport.is_closing():
            return
        if self._left():  # the peer still reads; `is_stuck` tells when it is too slow
            self._loop.call_later(LINGER, self._end)
        elif self._transport.can_write_eof():
            self._transport.abort()
        else:
            self._transport.close()

    def _left(self) -> int:
        """Returns the octets that the peer has not taken, those included that the system has: its buffer grows to
        megabytes, and what it takes says nothing about the peer.

        The system would keep a connection that is given up before that for minutes, with all that was sent on it.
        """
        if self._taken == self.sent:  # nothing was sent since all was taken
            return 0
        left = int(self._transport.get_write_buffer_size()) + not_taken(self._transport.get_extra_info("socket"))
        if not left:
            self._taken = self.sent
        return left

    def _send(self) -> None:
        if self._parts:
            parts, self._parts, self._size = self._parts, [], 0
            octets = b"".join(parts)
            self.sent += len(octets)
            if not self._transport.is_closing():
                self._transport.write(octets)
