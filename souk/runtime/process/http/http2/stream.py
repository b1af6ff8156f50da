"""One request of HTTP/2 and its response: what the application receives and sends (ASGI 3, with trailers).

The client gets room for more of the body as the application reads it, so an application that does not read makes the
client wait. A response waits for the client's window and for the socket.
"""

import asyncio
from collections import deque
from collections.abc import Callable, MutableMapping
from typing import Any, Protocol

from souk.gateway.http.connection import EXTENSION
from souk.runtime.process.http.limits import HttpLimits

Message = MutableMapping[str, Any]

_OF_ONE_CONNECTION = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
"""Fields that HTTP/2 does not have (RFC 9113, 8.2.2)."""


class FrameSender(Protocol):
    """The connection, as its streams need it."""

    def acknowledge(self, stream: int, octets: int) -> None:
        """Gives the client room for so many octets more."""
        ...

    def send_head(self, stream: int, fields: list[tuple[bytes, bytes]], *, last: bool) -> None:
        """Sends the head or the trailers."""
        ...

    def send_part(self, stream: int, octets: bytes, *, last: bool) -> None:
        """Sends a part of the body, which must fit into `room`."""
        ...

    def room(self, stream: int) -> int:
        """Returns how many octets of a body may be sent now."""
        ...

    async def flushed(self) -> None:
        """Waits until the socket takes more."""
        ...

    def break_off(self, stream: int) -> None:
        """Ends a stream as one that failed."""
        ...


class Http2Stream:
    """One stream. `whole` says whether the client has sent all of its request."""

    def __init__(self, number: int, scope: dict[str, Any], sender: FrameSender, *, whole: bool) -> None:
        self.number, self.scope = number, scope
        self._sender = sender
        self._parts: deque[tuple[bytes, int]] = deque()
        self.whole, self._asked_after_end = whole, False
        self._changed = asyncio.Event()
        self._received = self._sent = 0
        self._turn: tuple[float, int] | None = None
        self._when_gone: Callable[[], None] | None = None
        extensions = {**scope.get("extensions", {}), EXTENSION: self}
        self.scope["extensions"] = extensions
        self.gone = self.began = self.finished = False
        self.waits_for_room = False
        self._trailers = False

    def is_slow(self, now: float, limits: HttpLimits) -> bool:
        """Tells whether the client has its turn for too long: to send the request's body, or to take the response.

        Once the response has begun, the client may take its time with what it still sends: it may be a conversation.
        """
        if self.waits_for_room:
            patience, done = limits.write, self._sent
        else:
            patience, done = limits.body, self._received
        served = self.whole or self.began or bool(self._parts)
        if self.gone or self.finished or (served and not self.waits_for_room):
            self._turn = None
            return False
        began, before = self._turn = self._turn or (now, done)
        return now - began > patience + (done - before) / limits.slowest

    # Called by the connection.

    def feed(self, octets: bytes, size: int) -> None:
        """Takes a part of the body; `size` is what it took of the window."""
        self._received += len(octets)
        if self.finished:
            self._sender.acknowledge(self.number, size)
            return
        self._parts.append((octets, size))
        self._changed.set()

    def complete(self) -> None:
        """Notes that the body is whole."""
        self.whole = True
        self._changed.set()

    def leave(self) -> None:
        """Notes that the client has gone, or has given up this request."""
        self.gone = True
        self._changed.set()
        if self._when_gone is not None:
            self._when_gone()

    def widen(self) -> None:
        """Notes that the client has made room."""
        self._changed.set()

    def refuse_body(self) -> int:
        """Drops what the application did not read; returns what that took of the window."""
        self.finished = True
        size = sum(size for _, size in self._parts)
        self._parts.clear()
        return size

    # Called by the application; the first two are what the gateway knows as a ClientConnection.

    def when_gone(self, call: Callable[[], None] | None) -> None:
        """Sets what is called when the client gives up the request; None takes it back."""
        self._when_gone = call

    def break_off(self) -> None:
        """Ends the stream so that the client cannot take the response under way for a complete one."""
        if not (self.gone or self.finished):
            self._sender.break_off(self.number)

    async def receive(self) -> Message:
        """Gives the next part of the body, or `http.disconnect` once the client or the response is gone."""
        while True:
            if self._parts:
                octets, size = self._parts.popleft()
                self._sender.acknowledge(self.number, size)
                more = not self.whole or bool(self._parts)
                self._asked_after_end = not more
                return {"type": "http.request", "body": octets, "more_body": more}
            if self.whole and not self._asked_after_end:
                self._asked_after_end = True
                return {"type": "http.request", "body": b"", "more_body": False}
            if self.gone or self.finished:
                return {"type": "http.disconnect"}
            self._changed.clear()
            await self._changed.wait()

    async def send(self, message: Message) -> None:
        """Sends a part of the response; discards it once the client is gone."""
        if self.gone or self.finished:
            return
        kind = message["type"]
        if kind == "http.response.start":
            self._begin(message)
        elif kind == "http.response.body":
            await self._send_body(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.trailers":
            self.finished = True
            if message["headers"]:
                self._sender.send_head(self.number, _carried(message["headers"]), last=True)
            else:
                self._sender.send_part(self.number, b"", last=True)

    def _begin(self, message: Message) -> None:
        self.began, self._trailers = True, bool(message.get("trailers"))
        status = (b":status", b"%d" % message["status"])
        self._sender.send_head(self.number, [status, *_carried(message["headers"])], last=False)

    async def _send_body(self, body: bytes, *, more: bool) -> None:
        last = not more and not self._trailers
        rest = memoryview(body)
        while rest:
            room = await self._room()
            if not room:
                return
            part, rest = rest[:room], rest[room:]
            self._sent += len(part)
            self._finish(last=last and not rest)
            self._sender.send_part(self.number, bytes(part), last=self.finished)
            await self._sender.flushed()
        if last and not self.finished:
            self._finish(last=True)
            self._sender.send_part(self.number, b"", last=True)

    def _finish(self, *, last: bool) -> None:
        self.finished = last

    async def _room(self) -> int:
        """Waits for room; 0 when the client is gone."""
        while not self.gone:
            room = self._sender.room(self.number)
            if room > 0:
                self.waits_for_room = False
                return room
            self.waits_for_room = True
            self._changed.clear()
            await self._changed.wait()
        return 0


def _carried(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name not in _OF_ONE_CONNECTION]
