"""Mirrored requests: a copy goes to another upstream, and nothing of it comes back."""

import asyncio
from typing import Any

from souk.gateway.proxy.mirror import MOST
from souk.gateway.proxy.upstream import Upstream
from tests.gateway.proxy.conftest import OK, Accepted, Proxy, Server


async def test_a_copy_with_its_body_goes_to_the_mirror(world: Any, serve: Any, proxy: Proxy, server: Server) -> None:
    copies: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    async def script(peer: Accepted) -> None:
        line, _, body = await peer.request()
        copies.put_nowait((line, body))
        await peer.send(b"HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\nlost")

    mirror = Upstream("mirror", world.clock).listed([(await serve(script)).url])
    proxy.mirrors = (mirror,)
    assert (await proxy.ask("POST /up/x?y=1 HTTP/1.1\ncontent-length: 5", b"hello"))[2] == b"ok"
    assert await copies.get() == ("POST /x?y=1 HTTP/1.1", b"hello")
    await mirror.close()


async def test_a_mirror_that_hangs_or_is_away_harms_nobody(
    world: Any, serve: Any, proxy: Proxy, server: Server
) -> None:
    async def hang(peer: Accepted) -> None:
        await peer.request()
        await peer.reader.read()

    hanging = Upstream("hanging", world.clock).listed([(await serve(hang)).url])
    away = Upstream("away", world.clock).listed(["http://127.0.0.1:1"])
    proxy.mirrors = (hanging, away)
    for _ in range(MOST + 10):
        status, _, body = await proxy.ask("GET /up/x HTTP/1.1")
        assert (status, body) == (200, OK[-2:])
    assert hanging.mirrored.dropped == 10
    await hanging.close()
    await away.close()
