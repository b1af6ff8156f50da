"""A server with an application that a test prescribes, and a client of HTTP/2 that sends what a test wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import h2.config
import h2.connection
import h2.events

from souk.runtime.process.http.limits import HttpLimits
from souk.runtime.process.http.server import serving
from souk.runtime.process.sockets import listen

PATIENCE = 30.0
Application = Callable[[Any, Any, Any], Awaitable[None]]
E = TypeVar("E", bound=h2.events.Event)


def head(method: str = "GET", path: str = "/", *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [(":method", method), (":path", path), (":scheme", "http"), (":authority", "souk.test"), *more]


@dataclass
class Http2Peer:
    """One connection. `seen` are all events so far."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    h2: h2.connection.H2Connection
    seen: list[h2.events.Event] = field(default_factory=list)
    ended: bool = False

    async def ask(self, headers: Iterable[tuple[str, str]], *, last: bool = True) -> int:
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, list(headers), end_stream=last)
        await self.flush()
        return stream

    async def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())
        await self.writer.drain()

    async def until(self, kind: type[E], stream: int | None = None) -> E:
        """Waits for an event, which may have come already."""

        def found() -> E | None:
            wanted = (one for one in self.seen if isinstance(one, kind))
            return next((one for one in wanted if stream is None or one.stream_id == stream), None)  # type: ignore[attr-defined]

        async with asyncio.timeout(PATIENCE):
            while (one := found()) is None:
                assert not self.ended, self.seen
                await self._read()
        return one

    async def closed(self) -> None:
        """Waits until the server has closed the connection."""
        async with asyncio.timeout(PATIENCE):
            while not self.ended:
                await self._read()

    async def _read(self) -> None:
        octets = await self.reader.read(65_536)
        if not octets:
            self.ended = True
            return
        self.seen += self.h2.receive_data(octets)
        await self.flush()

    def status(self, stream: int) -> int:
        answer = next(e for e in self.seen if isinstance(e, h2.events.ResponseReceived) and e.stream_id == stream)
        return int(dict(answer.headers or ())[b":status"])

    def body(self, stream: int) -> bytes:
        parts = (e for e in self.seen if isinstance(e, h2.events.DataReceived) and e.stream_id == stream)
        return b"".join(part.data or b"" for part in parts)


@asynccontextmanager
async def serves(application: Application, limits: HttpLimits | None = None, drain: float = 5.0) -> AsyncIterator[int]:
    """Serves an application; gives the port."""
    listener = listen("127.0.0.1", 0)
    port: int = listener.getsockname()[1]
    async with serving(application, listener, drain, limits=limits or HttpLimits()):
        yield port


@asynccontextmanager
async def http2(port: int) -> AsyncIterator[Http2Peer]:
    """Connects, with the preface and the settings sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connection = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
    peer = Http2Peer(reader, writer, connection)
    connection.initiate_connection()
    await peer.flush()
    try:
        yield peer
    finally:
        writer.close()


async def whole(receive: Any) -> bytes:
    """Reads a request's body."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def reply(send: Any, body: bytes = b"", status: int = 200, trailers: Any = None) -> None:
    """Sends a whole response."""
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers, "trailers": trailers is not None})
    await send({"type": "http.response.body", "body": body})
    if trailers is not None:
        await send({"type": "http.response.trailers", "headers": trailers})
