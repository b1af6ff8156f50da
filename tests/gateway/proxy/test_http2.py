"""Clients of HTTP/2 in front of an upstream of HTTP/1.1."""

import asyncio

import h2.events
import pytest

from tests.gateway.proxy.conftest import Accepted, Proxy, Server
from tests.runtime.process.http2.peer import head, http2


async def test_a_get_has_no_body_and_a_host(proxy: Proxy, server: Server) -> None:
    async with http2(proxy.port) as peer:
        stream = await peer.ask(head("GET", "/up/x", ("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")))
        await peer.until(h2.events.StreamEnded, stream)
        assert (peer.status(stream), peer.body(stream)) == (200, b"ok")
    sent = server.last[1]
    assert (sent["host"], sent["cookie"]) == ("souk.test", "a=1; b=2")
    assert not {"transfer-encoding", "content-length", "te"} & sent.keys()


@pytest.mark.parametrize("length", [[], [("content-length", "10")]])
async def test_a_body_goes_through_with_and_without_a_length(
    proxy: Proxy, server: Server, length: list[tuple[str, str]]
) -> None:
    got: list[bytes] = []

    async def script(peer: Accepted) -> None:
        _, _, body = await peer.request()
        got.append(body)
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")

    server.script = script
    async with http2(proxy.port) as peer:
        stream = await peer.ask(head("POST", "/up/x", *length), last=False)
        peer.h2.send_data(stream, b"hello")
        await peer.flush()
        peer.h2.send_data(stream, b"world", end_stream=True)
        await peer.flush()
        await peer.until(h2.events.StreamEnded, stream)
        assert (peer.status(stream), peer.body(stream)) == (200, b"ok")
    assert got == [b"helloworld"]


async def test_a_client_that_gives_up_ends_the_upstreams_request(proxy: Proxy, server: Server) -> None:
    came = asyncio.Event()

    async def script(peer: Accepted) -> None:
        await peer.request()
        came.set()
        assert await peer.reader.read() == b""

    server.script = script
    async with http2(proxy.port) as peer:
        stream = await peer.ask(head("GET", "/up/x"))
        await came.wait()
        peer.h2.reset_stream(stream)
        await peer.flush()
        await server.ended.get()


async def test_a_lost_answer_resets_the_stream(proxy: Proxy, server: Server) -> None:
    drop = asyncio.Event()

    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        await drop.wait()

    server.script = script
    async with http2(proxy.port) as peer:
        stream = await peer.ask(head("GET", "/up/x"))
        await peer.until(h2.events.DataReceived, stream)
        drop.set()
        assert (await peer.until(h2.events.StreamReset, stream)).error_code
