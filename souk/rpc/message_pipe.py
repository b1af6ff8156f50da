"""One direction of a stream inside a process: a bounded queue with one writer and one reader."""

import asyncio
from collections import deque

CAPACITY = 65_535
"""Octets that may wait to be read, as HTTP/2's initial window (RFC 9113, 6.9.2)."""

_FRAME = 5  # octets that gRPC adds to each message, so that empty messages count as well


class Pipe:
    """A bounded queue of encoded messages. A writer waits while too many octets are unread."""

    __slots__ = ("_closed", "_loop", "_messages", "_unread", "_waiters")

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._unread = 0
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def drained(self) -> bool:
        """Whether no more messages can be read."""
        return self._closed and not self._messages

    async def put(self, message: bytes) -> bool:
        """Adds a message, once there is room. Returns false when the pipe is closed."""
        while self._unread >= CAPACITY and not self._closed:
            await self._changed()
        if self._closed:
            return False
        self._add(message)
        return True

    def put_last(self, message: bytes) -> None:
        """Adds a message without waiting for room, and closes."""
        self._add(message)
        self.close()

    async def get(self) -> bytes | None:
        """Returns the next message, once there is one; None at the end."""
        while not self._messages:
            if self._closed:
                return None
            await self._changed()
        message = self._messages.popleft()
        self._unread -= len(message) + _FRAME
        self._wake()
        return message

    def close(self) -> None:
        """Closes the pipe for writing; messages that are in it can still be read."""
        self._closed = True
        self._wake()

    def discard(self) -> None:
        """Closes the pipe and drops the messages that are in it."""
        self._messages.clear()
        self.close()

    def _add(self, message: bytes) -> None:
        self._messages.append(message)
        self._unread += len(message) + _FRAME
        self._wake()

    async def _changed(self) -> None:
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            self._waiters.remove(waiter)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
