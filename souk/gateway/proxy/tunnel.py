"""A connection that goes on as another protocol (RFC 9110, 7.8): WebSocket, octet by octet.

Frames are not read: what one side sends the other gets, with its own close codes and extensions. Each side is read
from only as far as the other has room.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from souk.gateway.http.answers import SwitchingClient
from souk.gateway.proxy.connection import UpstreamConnection

FLUSHED_WITHIN = 5.0
"""Seconds in which an upstream must take what the client has sent it before the end."""

Lost = Callable[[Exception | None], None]


class TunnelEnd(asyncio.Protocol):
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
        near = TunnelEnd(upstream, self._moved, client_lost)
        transport, early = client.switch(head, near)
        far = TunnelEnd(transport, self._moved, upstream_lost)
        late = self._connection.switch(far)
        self._moved()
        if late:
            transport.write(late)
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
