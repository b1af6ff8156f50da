"""A connection that goes on as another protocol (RFC 9110, 7.8): WebSocket, octet by octet.

Frames are not read: what one side sends the other gets, with its own close codes and extensions. Each side is read
from only as far as the other has room. When the gateway stops, the client is told by a frame of the gateway's own, at
the end of one of the upstream's; what the client answers still reaches the upstream.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from souk.gateway.http.answers import SwitchedProtocol, SwitchingClient
from souk.gateway.proxy.connection import UpstreamConnection
from souk.gateway.proxy.websocket.frames import GOING_AWAY, FrameBounds

FLUSHED_WITHIN = 5.0
"""Seconds in which an upstream must take what the client has sent it before the end."""

Lost = Callable[[Exception | None], None]


class TunnelEnd(SwitchedProtocol):
    """One side. `other` is the transport of the other side; `lost` is called when this side has ended."""

    def __init__(self, other: Any, moved: Callable[[], None], lost: Lost) -> None:
        self.other, self._moved, self._lost = other, moved, lost

    def data_received(self, data: bytes) -> None:
        self._moved()
        self.other.write(data)

    def pause_writing(self) -> None:
        if not self.other.is_closing():
            self.other.pause_reading()

    def resume_writing(self) -> None:
        if not self.other.is_closing():
            self.other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.other.close()  # once all is sent that this side has said
        self._lost(exc)


class NearEnd(TunnelEnd):
    """The client's side. `leave` is called when its server stops."""

    def __init__(self, other: Any, moved: Callable[[], None], lost: Lost, leave: Callable[[], None]) -> None:
        super().__init__(other, moved, lost)
        self._leave = leave

    def go_away(self) -> None:
        self._leave()


class FarEnd(TunnelEnd):
    """The upstream's side. Once the gateway leaves, what it says after the frame that is under way is dropped."""

    def __init__(self, other: Any, moved: Callable[[], None], lost: Lost) -> None:
        super().__init__(other, moved, lost)
        self._frames, self._leaving, self._closed = FrameBounds(), False, False

    def data_received(self, data: bytes) -> None:
        self._moved()
        if self._closed:
            return
        under_way = not self._frames.between
        end = self._frames.follow(data)
        if not self._leaving:
            self.other.write(data)
        elif under_way:
            self.other.write(data[:end])
            if end < len(data) or self._frames.between:
                self._tell()

    def go_away(self) -> None:
        """Tells the client that the gateway stops, now or at the end of the frame that is under way."""
        self._leaving = True
        if self._frames.between and not self._closed:
            self._tell()

    def _tell(self) -> None:
        self._closed = True
        self.other.write(GOING_AWAY)


class Tunnel:
    """What is between a client and an upstream after a 101. `ended` is called once, at its end."""

    def __init__(self, connection: UpstreamConnection, idle: float, ended: Callable[[], None]) -> None:
        self._connection, self._idle, self._ended = connection, idle, ended
        self._moved_at = 0.0

    async def run(self, client: SwitchingClient, head: bytes) -> None:
        """Sends the head, and then octets both ways until either side ends, nothing moves for `idle` seconds, or this
        is cancelled."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()

        def client_lost(error: Exception | None) -> None:
            client.switched_off(error)
            if not over.done():
                over.set_result(None)

        def upstream_lost(error: Exception | None) -> None:
            self._connection.connection_lost(error)
            if not over.done():
                over.set_result(None)

        upstream = self._connection.transport
        far = FarEnd(None, self._moved, upstream_lost)
        near = NearEnd(upstream, self._moved, client_lost, far.go_away)
        transport, early = client.switch(head, near)
        far.other = transport
        late = self._connection.switch(far)
        self._moved()
        if late:
            far.data_received(late)
        if early:
            upstream.write(early)
        try:
            await self._until(over)
        finally:
            transport.close()
            self.close()

    def close(self) -> None:
        """Ends the side of the upstream."""
        transport = self._connection.transport
        transport.close()
        asyncio.get_running_loop().call_later(FLUSHED_WITHIN, transport.abort)
        self._ended()

    async def _until(self, over: "asyncio.Future[None]") -> None:
        loop = asyncio.get_running_loop()
        while not over.done() and (left := self._moved_at + self._idle - loop.time()) > 0:
            await asyncio.wait({over}, timeout=left)

    def _moved(self) -> None:
        self._moved_at = asyncio.get_running_loop().time()
