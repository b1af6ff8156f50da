"""A connection to one instance of an upstream: HTTP/1.1, one request at a time, both bodies as streams.

Neither side is read from further than `read_ahead` bytes before the other has room: the transport is paused.
"""

import asyncio
import select
import ssl
from collections.abc import Callable
from typing import Any, cast

from souk.gateway.proxy.answer_reader import AnswerReader
from souk.gateway.proxy.answer_timer import AnswerTimer
from souk.gateway.proxy.faults import FaultKind, UpstreamFault
from souk.gateway.proxy.settings import UpstreamSettings
from souk.http1.reader import BodyTooLarge, HeadTooLarge, Malformed


class UpstreamConnection(asyncio.Protocol):
    """One connection. `used` says whether it has carried a request before."""

    def __init__(self, settings: UpstreamSettings, gone: Callable[["UpstreamConnection"], None]) -> None:
        self.reader = AnswerReader(settings.max_head)
        self._read_ahead, self._gone = settings.read_ahead, gone
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._fault: UpstreamFault | None = None
        self._buffered = 0
        self._poll: select.poll | None = None
        self._paused = self._closed = False
        self.busy = self.used = False
        self.since = 0.0
        self._late = AnswerTimer(self.fail)
        self.late_after = self._late.after

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(self._read_ahead)

    def data_received(self, data: bytes) -> None:
        reader = self.reader
        if not self.busy or (reader.complete and not reader.switched):
            self.abort()  # nobody has asked for these octets
            return
        before = reader.status
        try:
            reader.feed(data)
        except (Malformed, HeadTooLarge, BodyTooLarge) as error:
            self.fail(FaultKind.BROKEN, f"the answer is not sound: {error or type(error).__name__}")
            return
        if reader.parts:
            self._buffered += len(data)
            if self._buffered > self._read_ahead and not reader.complete and not self._paused:
                self._paused = True
                self.transport.pause_reading()
        if reader.status != before or reader.parts or reader.complete or reader.continued:
            self._wake()

    def eof_received(self) -> None:
        reader = self.reader
        if reader.status and reader.until_close and not reader.complete and self._ended_by_upstream:
            reader.complete = True
            self._wake()

    @property
    def _ended_by_upstream(self) -> bool:
        """Whether the end is the upstream's own: over TLS it says so, and an end without that may be anybody's."""
        tls: Any = self.transport.get_extra_info("ssl_object")
        try:
            return tls is None or tls.read(1) == b""
        except ssl.SSLError:
            return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._late.close()
        began = self.reader.began
        if not began and self.used and self.busy:
            self.fail(FaultKind.STALE, "a kept connection ended before the answer")
        elif not self.reader.complete:
            self.fail(FaultKind.BROKEN, "the connection ended in the answer" if began else "the connection ended")
        self._gone(self)
        self._make_room()

    def pause_writing(self) -> None:
        if self._room is None:
            self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        self._make_room()

    def _make_room(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def fail(self, kind: FaultKind, why: str) -> None:
        """Ends the connection, and the exchange on it with a fault."""
        if self._fault is None:
            self._fault = UpstreamFault(kind, why)
        self._wake()
        self.abort()

    # Called by the exchange.

    @property
    def alive(self) -> bool:
        """Whether a request can be sent: the connection is open, as far as this process knows."""
        return not self._closed and not self.transport.is_closing()

    @property
    def quiet(self) -> bool:
        """Whether poll(2) finds neither octets nor an end: it costs a system call."""
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._poll.poll(0)

    def begin(self, octets: bytes, *, head: bool, may_switch: bool = False) -> None:
        """Sends the head of a request, with its body if that is whole."""
        self.reader.expect(head=head, may_switch=may_switch)
        self.busy, self._buffered = True, 0
        self.transport.write(octets)

    async def write(self, octets: bytes) -> None:
        """Sends a part of the request's body, and waits until there is room for more. Raises UpstreamFault."""
        if not self.alive:
            raise self._fault or UpstreamFault(FaultKind.BROKEN, "the connection ended in the request")
        self.transport.write(octets)
        room = self._room
        if room is not None:
            await asyncio.shield(room)

    async def changed(self) -> None:
        """Waits until something has come or the connection ends. Raises UpstreamFault if it has ended already."""
        if self._fault is not None:
            raise self._fault
        self._waiting = waiting = self._loop.create_future()
        await waiting

    async def head(self) -> None:
        """Waits for the head of the final answer. Raises UpstreamFault."""
        while not self.reader.status:
            await self.changed()

    @property
    def ready(self) -> bool:
        """Whether a part of the answer's body waits to be taken."""
        return bool(self.reader.parts)

    async def part(self) -> bytes:
        """Gives the next part of the answer's body; empty at its end. Raises UpstreamFault if the rest is lost."""
        reader = self.reader
        while not reader.parts:
            if reader.complete:
                return b""
            await self.changed()
        parts, reader.parts, self._buffered = reader.parts, [], 0
        if self._paused and not self._closed:
            self._paused = False
            self.transport.resume_reading()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def switch(self, to: asyncio.Protocol) -> bytes:
        """Lets the connection go on as another protocol: `to` gets what comes from now on. Returns what has come."""
        self.transport.set_protocol(to)
        if self._closed:
            to.connection_lost(None)
        return self.reader.after_switch

    @property
    def reusable(self) -> bool:
        """Whether another request can be sent, once this one is sent in full."""
        reader = self.reader
        return reader.complete and reader.keep_alive and not reader.surplus and self.alive

    def abort(self) -> None:
        """Ends the connection at once."""
        self.transport.abort()
