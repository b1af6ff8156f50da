"""WebSocket through the gateway: what one side says the other gets, octet by octet."""

import asyncio
import base64
import contextlib
import os
import socket
from random import Random
from typing import Any

import pytest
from aiohttp import ClientSession, WSMsgType, web

from souk.gateway.proxy.settings import UpstreamSettings
from souk.gateway.proxy.websocket.frames import FrameBounds
from souk.runtime.process.http.server import serving
from tests.gateway.proxy.conftest import OK, Accepted, Proxy, Server
from tests.gateway.test_framing import Connection

ASK = (
    b"GET /up/chat HTTP/1.1\r\nhost: shop.test\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n"
    b"origin: https://shop.test\r\nsec-websocket-version: 13\r\nsec-websocket-protocol: chat\r\n"
    b"sec-websocket-key: " + base64.b64encode(os.urandom(16)) + b"\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"
)
PART = b"x" * 65_536


async def asked(proxy: Proxy, more: bytes = b"") -> Connection:
    peer = await proxy.connect()
    await peer.send(ASK + more)
    return peer


@pytest.fixture
async def chat(proxy: Proxy) -> Any:
    """A server that says everything again, and keeps the code that a client closes with."""
    codes: asyncio.Queue[int | None] = asyncio.Queue()

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("chat",))
        await socket.prepare(request)
        async for message in socket:
            if message.data == "close":
                await socket.close(code=4001, message=b"enough")
            elif message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        codes.put_nowait(socket.close_code)
        return socket

    app = web.Application()
    app.router.add_get("/chat", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    proxy.upstream.listed([f"http://127.0.0.1:{runner.addresses[0][1]}"])
    yield codes
    await runner.cleanup()


async def test_messages_and_close_codes_go_both_ways(proxy: Proxy, chat: "asyncio.Queue[int | None]") -> None:
    async with ClientSession() as session:
        async with session.ws_connect(f"http://127.0.0.1:{proxy.port}/up/chat", protocols=("chat",)) as socket:
            assert socket.protocol == "chat"
            for text in ("one", "two", "x" * 200_000):
                await socket.send_str(text)
                assert await socket.receive_str() == text
            await socket.send_bytes(PART)
            assert await socket.receive_bytes() == PART
            await socket.close(code=4002)
        assert await chat.get() == 4002
        async with session.ws_connect(f"http://127.0.0.1:{proxy.port}/up/chat") as socket:
            await socket.send_str("close")
            closed = await socket.receive()
            assert (closed.type, closed.data, closed.extra) == (WSMsgType.CLOSE, 4001, "enough")


async def test_the_handshake_goes_through(proxy: Proxy, server: Server) -> None:
    async def script(peer: Accepted) -> None:
        await peer.head()
        await peer.send(SWITCH + b"early")
        assert await peer.reader.readexactly(4) == b"mine"
        await peer.send(b"bye")

    server.script = script
    peer = await asked(proxy, b"mi")
    status, headers = await peer.head()
    sent = server.last[1]
    assert (sent["origin"], sent["sec-websocket-protocol"]) == ("https://shop.test", "chat")
    assert (sent["connection"], sent["upgrade"]) == ("upgrade", "websocket")
    assert (status, headers["connection"], headers["upgrade"]) == (101, "upgrade", "websocket")
    assert headers["sec-websocket-accept"] == "x"
    assert {"content-length", "transfer-encoding"}.isdisjoint(headers)
    assert await peer.reader.readexactly(5) == b"early"
    await peer.send(b"ne")
    assert await peer.reader.read() == b"bye"
    await peer.close()


async def test_an_upstream_may_refuse(proxy: Proxy, server: Server) -> None:
    peer = await asked(proxy)
    status, headers, body = await peer.answer()
    assert (status, headers["connection"], body) == (200, "close", OK[-2:])
    await peer.close()


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket, h2c", b"TLS/1.2"])
async def test_other_protocols_are_not_asked_for(proxy: Proxy, server: Server, upgrade: bytes) -> None:
    peer = await proxy.connect()
    await peer.send(ASK.replace(b"WebSocket", upgrade))
    assert (await peer.answer())[0] == 200
    assert "upgrade" not in server.last[1]
    assert "connection" not in server.last[1]
    await peer.close()


async def test_either_end_ends_both(proxy: Proxy, server: Server) -> None:
    drop = asyncio.Event()

    async def script(peer: Accepted) -> None:
        await peer.head()
        await peer.send(SWITCH)
        if len(server.requests) == 2:
            await drop.wait()
            peer.reset()
        else:
            assert await peer.reader.read() == b""

    server.script = script
    peer = await asked(proxy)
    await peer.head()
    await peer.close()
    await server.ended.get()
    peer = await asked(proxy)
    await peer.head()
    drop.set()
    assert await peer.reader.read() == b""
    await peer.close()


@pytest.mark.parametrize("up", [False, True])
async def test_who_does_not_read_stops_the_other(proxy: Proxy, server: Server, up: bool) -> None:
    go_on, taken, sent, wanted = asyncio.Event(), asyncio.Event(), [0], 64 * 1024 * 1024

    async def pour(send: Any) -> None:
        while sent[0] < wanted:
            await send(PART)
            sent[0] += len(PART)

    async def swallow(reader: asyncio.StreamReader) -> None:
        got = 0
        while got < wanted and (part := await reader.read(2**20)):
            got += len(part)
        assert got == wanted

    async def script(peer: Accepted) -> None:
        await peer.head()
        await peer.send(SWITCH)
        if up:
            await go_on.wait()
            await swallow(peer.reader)
            taken.set()
        else:
            await pour(peer.send)
        await peer.reader.read()

    server.script = script
    peer = await asked(proxy)
    await peer.head()
    pouring = asyncio.create_task(pour(peer.send)) if up else None
    before = -1
    while before != sent[0]:
        before = sent[0]
        await asyncio.sleep(0.3)
    assert sent[0] < 24 * 1024 * 1024
    go_on.set()
    if pouring is not None:
        await pouring
        await taken.wait()  # what is on its way when the client leaves is lost
    else:
        await swallow(peer.reader)
    assert sent[0] == wanted
    await peer.close()


class TestIdle:
    @pytest.fixture
    def settings(self) -> UpstreamSettings:
        return UpstreamSettings(idle=0.3)

    async def test_a_silent_connection_ends(self, proxy: Proxy, server: Server) -> None:
        async def script(peer: Accepted) -> None:
            await peer.head()
            await peer.send(SWITCH)
            assert await peer.reader.read() == b""

        server.script = script
        peer = await asked(proxy)
        await peer.head()
        assert await peer.reader.read() == b""
        await server.ended.get()
        await peer.close()


async def test_a_connection_holds_up_no_server_that_stops(world: Any, proxy: Proxy, server: Server) -> None:
    async def script(peer: Accepted) -> None:
        await peer.head()
        await peer.send(SWITCH)
        assert await peer.reader.read() == b""

    server.script = script
    listener = socket.create_server(("127.0.0.1", 0))
    async with serving(world.gateway, listener, drain=1.0):
        peer = await Connection.to(listener.getsockname()[1])
        await peer.send(ASK)
        assert (await peer.head())[0] == 101
    assert await peer.reader.read() == b"\x88\x02\x03\xe9"
    await server.ended.get()
    await peer.close()


def frame(size: int, fill: bytes = b"x") -> bytes:
    """A whole text frame of a server."""
    if size < 126:
        return b"\x81" + bytes((size,)) + fill * size
    long, mark = (2, 126) if size < 65_536 else (8, 127)
    return b"\x81" + bytes((mark,)) + size.to_bytes(long, "big") + fill * size


SIZES = (0, 1, 125, 126, 65_535, 65_536, 300_000)


@pytest.mark.parametrize("masked", [False, True])
def test_the_ends_of_frames_are_found_however_octets_come(masked: bool) -> None:
    random = Random(7)
    frames = [frame(random.choice(SIZES[:5])) for _ in range(60)]
    if masked:
        frames = [
            bytes((one[0], one[1] | 0x80))
            + one[2 : (4 if one[1] == 126 else 2)]
            + b"mask"
            + one[(4 if one[1] == 126 else 2) :]
            for one in frames
        ]
    ends, octets, bounds, at = {0}, b"".join(frames), FrameBounds(), 0
    for one in frames:
        ends.add(max(ends) + len(one))
    while at < len(octets):
        part = octets[at : at + random.choice((1, 2, 3, 7, 130, 70_000))]
        first = min((end for end in ends if at < end <= at + len(part)), default=at + len(part))
        assert bounds.follow(part) == first - at
        at += len(part)
        assert bounds.between is (at in ends)


@pytest.mark.parametrize(("size", "cut"), [(0, 0), (0, 1), (126, 3), (65_536, 5), (300_000, -1), (1, None)])
async def test_a_client_is_told_at_the_end_of_a_frame_that_the_gateway_stops(
    world: Any, proxy: Proxy, server: Server, size: int, cut: int | None
) -> None:
    """`cut` is how much of the second frame has come when the gateway begins to stop."""
    first, second, stopping, heard = frame(3), frame(size), asyncio.Event(), b"\x88\x82abcd\x62\x8b"
    cut = len(second) if cut is None else min(cut % (len(second) + 1), len(second))

    async def script(peer: Accepted) -> None:
        await peer.head()
        await peer.send(SWITCH + first + second[:cut])
        await stopping.wait()
        await peer.send(second[cut:] + frame(5, b"late"))
        assert await peer.reader.readexactly(len(heard)) == heard, "what the client answers"

    server.script = script
    listener = socket.create_server(("127.0.0.1", 0))
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(serving(world.gateway, listener, drain=60.0))
        peer = await Connection.to(listener.getsockname()[1])
        await peer.send(ASK)
        assert (await peer.head())[0] == 101
        assert await peer.reader.readexactly(len(first) + cut) == first + second[:cut]
        ending = asyncio.create_task(stack.aclose())
        if cut in (0, len(second)):  # it is between two frames: what comes next is not waited for
            assert await peer.reader.readexactly(4) == b"\x88\x02\x03\xe9"
            stopping.set()
        else:
            while not proxy_is_leaving(listener):
                await asyncio.sleep(0)
            stopping.set()
            assert await peer.reader.readexactly(len(second) - cut + 4) == second[cut:] + b"\x88\x02\x03\xe9"
        await peer.send(heard)
        assert await peer.reader.read() == b""
        await ending
    assert await server.ended.get() is None
    await peer.close()


def proxy_is_leaving(listener: socket.socket) -> bool:
    """The server closes its listening socket once it has told its connections that it stops."""
    return listener.fileno() == -1
