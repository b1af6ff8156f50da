"""A gateway that passes `/up/...` on to an upstream, whose servers do what a test prescribes, octet by octet."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from souk.gateway.endpoint import Endpoint
from souk.gateway.http.answers import Answer
from souk.gateway.http.request import Request
from souk.gateway.proxy.settings import UpstreamSettings
from souk.gateway.proxy.upstream import Upstream
from souk.gateway.routing.model import RetryPolicy, Timeouts
from souk.gateway.routing.outgoing import OutgoingRequest
from souk.runtime.process.http.server import serving
from tests.gateway.test_framing import Connection

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Script = Callable[["Accepted"], Awaitable[None]]


@dataclass
class Accepted:
    """A connection that a server accepted."""

    server: "Server"
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def head(self) -> tuple[str, dict[str, str]]:
        """Reads a request's head; raises IncompleteReadError at the end of the connection."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in filter(None, lines[1:]):
            name, value = line.split(": ", 1)
            headers[name] = f"{headers[name]} && {value}" if name in headers else value
        self.server.requests.append((lines[0], headers))
        return lines[0], headers

    async def body(self, headers: dict[str, str]) -> bytes:
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"]))
        parts = []
        while headers.get("transfer-encoding") == "chunked":
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            part = (await self.reader.readexactly(size + 2))[:-2]
            if not size:
                break
            parts.append(part)
        return b"".join(parts)

    async def request(self) -> tuple[str, dict[str, str], bytes]:
        line, headers = await self.head()
        return line, headers, await self.body(headers)

    async def send(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    def reset(self) -> None:
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()


async def answering(peer: Accepted) -> None:
    """Answers every request of a connection with OK."""
    while True:
        await peer.request()
        await peer.send(OK)


@dataclass
class Server:
    """An HTTP server in octets. `script` is run for each connection, which ends with it."""

    script: Script = answering
    connections: int = 0
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    ended: "asyncio.Queue[BaseException | None]" = field(default_factory=asyncio.Queue)
    port: int = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        failure: BaseException | None = None
        try:
            await self.script(Accepted(self, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            failure = error
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self.ended.put_nowait(failure)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def last(self) -> tuple[str, dict[str, str]]:
        return self.requests[-1]


@dataclass
class Proxy:
    """The route under test: what it says, and where it leads to."""

    upstream: Upstream
    port: int
    timeouts: Timeouts = field(default_factory=Timeouts)
    retry: RetryPolicy | None = None
    max_body: int | None = None
    mirrors: tuple[Any, ...] = ()

    async def handle(self, request: Request, captures: Sequence[str | None]) -> Answer:
        target = request.path.removeprefix("/up").encode() + (b"?" + request.query if request.query else b"")
        headers = list(request.scope["headers"])
        return await self.upstream.forward(
            request,
            OutgoingRequest(request.method, target, headers, self.timeouts, self.retry, self.max_body, self.mirrors),
        )

    async def connect(self) -> Connection:
        return await Connection.to(self.port)

    async def ask(self, head: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        """Sends a request on a connection of its own, and gives the answer."""
        peer = await self.connect()
        try:
            await peer.send(head.replace("\n", "\r\n").encode("latin-1") + b"\r\nhost: shop.test\r\n\r\n" + body)
            return await peer.answer()
        finally:
            await peer.close()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[Server]]]:
    """Starts servers."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(script: Script = answering) -> Server:
            server = Server(script)
            running = await asyncio.start_server(server.accept, "127.0.0.1", 0)
            server.port = running.sockets[0].getsockname()[1]
            stack.callback(running.close)
            return server

        yield start


@pytest.fixture
def settings() -> UpstreamSettings:
    return UpstreamSettings()


@pytest.fixture
async def upstream(world: Any, settings: UpstreamSettings) -> AsyncIterator[Upstream]:
    made = Upstream("orders", world.clock, settings=settings)
    yield made
    await made.close()


@pytest.fixture
async def server(serve: Any, upstream: Upstream) -> Server:
    made: Server = await serve()
    upstream.listed([made.url])
    return made


@pytest.fixture
async def proxy(world: Any, upstream: Upstream) -> AsyncIterator[Proxy]:
    listener = socket.create_server(("127.0.0.1", 0))
    made = Proxy(upstream, listener.getsockname()[1])
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        world.gateway.routes.add(method, "/up/{rest=**}", Endpoint("/up", made.handle))
    async with serving(world.gateway, listener, drain=1.0):
        yield made
