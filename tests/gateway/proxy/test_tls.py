"""Upstreams behind TLS."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from souk.gateway.proxy.upstream import Upstream
from souk.testing.certificates import Authority
from tests.gateway.proxy.conftest import Accepted, Proxy, Script, Server, answering

GET = "GET /up/x HTTP/1.1"


@pytest.fixture
async def secure(world: Any, proxy: Proxy, tmp_path: Path) -> Any:
    """Starts a server with a certificate that the upstream trusts, or one of another authority."""
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    running: list[asyncio.Server] = []

    async def start(script: Script = answering, *, trusted: bool = True) -> Server:
        mine = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        mine.load_cert_chain(*(authority if trusted else other).issue("shop"))
        server = Server(script)
        running.append(await asyncio.start_server(server.accept, "127.0.0.1", 0, ssl=mine))
        server.port = running[-1].sockets[0].getsockname()[1]
        theirs = ssl.create_default_context(cafile=authority.ca)
        proxy.upstream = Upstream("shop", world.clock, tls=theirs).listed([f"https://127.0.0.1:{server.port}"])
        return server

    yield start
    await proxy.upstream.close()
    for one in running:
        one.close()


async def test_requests_go_over_tls_and_connections_are_kept(proxy: Proxy, secure: Any) -> None:
    server = await secure()
    for _ in range(2):
        assert (await proxy.ask("POST /up/x HTTP/1.1\ncontent-length: 100000", b"x" * 100_000))[2] == b"ok"
    assert server.connections == 1


async def test_a_server_that_nobody_vouches_for_is_a_502(proxy: Proxy, secure: Any) -> None:
    server = await secure(trusted=False)
    assert (await proxy.ask(GET))[0] == 502
    assert not server.requests


async def test_a_server_without_tls_is_a_502(proxy: Proxy, secure: Any, serve: Any) -> None:
    await secure()

    async def script(peer: Accepted) -> None:
        await peer.reader.read(1)
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    plain = await serve(script)
    proxy.upstream.listed([plain.url.replace("http:", "https:")])
    assert (await proxy.ask(GET))[0] == 502


async def test_an_end_that_anybody_may_have_made_is_not_the_end_of_a_body(proxy: Proxy, secure: Any) -> None:
    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\npart of it")
        peer.writer.transport.abort()  # without the goodbye of TLS

    await secure(script)
    peer = await proxy.connect()
    await peer.send(b"GET /up/x HTTP/1.1\r\nhost: x\r\n\r\n")
    assert b"0\r\n\r\n" not in await peer.reader.read()
    await peer.close()
