"""What goes through to an upstream, and what comes back."""

from ipaddress import ip_network
from typing import Any

import pytest

from souk.gateway.proxy.upstream import Upstream
from tests.gateway.proxy.conftest import OK, Accepted, Proxy, Server


async def test_a_request_goes_through_with_its_query_and_body(proxy: Proxy, server: Server) -> None:
    async def echo(peer: Accepted) -> None:
        _, _, body = await peer.request()
        await peer.send(b"HTTP/1.1 201 Created\r\nx-own: 1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    server.script = echo
    status, headers, body = await proxy.ask("POST /up/a%2Fb?x=1&y=%20 HTTP/1.1\ncontent-length: 5", b"hello")
    assert (status, headers["x-own"], body) == (201, "1", b"hello")
    line, sent = server.last
    assert line == "POST /a%2Fb?x=1&y=%20 HTTP/1.1"
    assert (sent["host"], sent["content-length"]) == ("shop.test", "5")


async def test_connections_are_kept(proxy: Proxy, server: Server) -> None:
    for _ in range(3):
        assert (await proxy.ask("GET /up/x HTTP/1.1"))[2] == b"ok"
    assert (server.connections, len(server.requests)) == (1, 3)


async def test_fields_of_one_connection_stop_here(proxy: Proxy, server: Server) -> None:
    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(
            b"HTTP/1.1 200 OK\r\nConnection: x-mine, keep-alive\r\nKeep-Alive: timeout=5\r\nX-Mine: 1\r\n"
            b"Proxy-Authenticate: Basic\r\nsouk-caller: 1\r\nX-Kept: 1\r\nTrailer: x\r\nContent-Length: 0\r\n\r\n"
        )

    server.script = script
    _, headers, _ = await proxy.ask(
        "GET /up/x HTTP/1.1\nconnection: x-secret, keep-alive, Close\nx-secret: 1\nkeep-alive: 3\nte: trailers\n"
        "proxy-authorization: Basic x\nproxy-connection: x\nsouk-caller: U-1\nx-kept: 1"
    )
    sent = server.last[1]
    assert sent["x-kept"] == headers["x-kept"] == "1"
    hop = {
        "x-secret",
        "x-mine",
        "keep-alive",
        "te",
        "proxy-authorization",
        "proxy-connection",
        "souk-caller",
        "trailer",
    }
    assert not hop & (sent.keys() | headers.keys())
    assert "proxy-authenticate" not in headers
    assert "connection" not in sent


async def test_the_gateway_says_for_whom_it_asks(proxy: Proxy, server: Server) -> None:
    _, headers, _ = await proxy.ask(
        "GET /up/x HTTP/1.1\nx-forwarded-for: 6.6.6.6\nforwarded: for=6.6.6.6\nx-forwarded-proto: https\n"
        "x-forwarded-host: evil\nvia: 1.1 first\nx-request-id: req-1"
    )
    sent = server.last[1]
    assert sent["x-forwarded-for"] == "127.0.0.1"
    assert sent["x-forwarded-host"] == "shop.test"
    assert sent["x-forwarded-proto"] == "http"
    assert sent["forwarded"] == 'for=127.0.0.1;host="shop.test";proto=http'
    assert sent["via"] == "1.1 first, 1.1 souk"
    assert (sent["x-request-id"], headers["x-request-id"]) == ("req-1", "req-1")
    assert sent["traceparent"] == headers["traceparent"]
    assert headers["via"] == "1.1 souk"


@pytest.mark.parametrize(
    "framing", [b"content-length: 2\r\n\r\nok", b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"]
)
async def test_answers_are_framed_anew(proxy: Proxy, server: Server, framing: bytes) -> None:
    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n" + framing)

    server.script = script
    status, headers, body = await proxy.ask("GET /up/x HTTP/1.1")
    assert (status, headers["content-length"], body) == (200, "2", b"ok")


async def test_an_answer_may_last_until_the_connection_ends(proxy: Proxy, server: Server) -> None:
    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.0 200 OK\r\n\r\nall of it")

    server.script = script
    peer = await proxy.connect()
    await peer.send(b"GET /up/x HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await peer.head())[0] == 200
    assert (await peer.reader.readuntil(b"0\r\n\r\n")).endswith(b"it\r\n0\r\n\r\n")
    await peer.close()


@pytest.mark.parametrize("status", [204, 205, 304])
async def test_answers_without_a_body_keep_the_connection(proxy: Proxy, server: Server, status: int) -> None:
    async def script(peer: Accepted) -> None:
        while True:
            await peer.request()
            length = b"content-length: 0\r\n" if status == 205 else b""
            await peer.send(b"HTTP/1.1 %d X\r\netag: 1\r\n%b\r\n" % (status, length))

    server.script = script
    for _ in range(2):
        found, headers, body = await proxy.ask("GET /up/x HTTP/1.1")
        assert (found, headers["etag"], body) == (status, "1", b"")
    assert server.connections == 1


async def test_head_tells_the_length_and_keeps_the_connection(proxy: Proxy, server: Server) -> None:
    async def script(peer: Accepted) -> None:
        while True:
            line, _, _ = await peer.request()
            assert line.startswith("HEAD")
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 12345\r\n\r\n")

    server.script = script
    for _ in range(2):
        peer = await proxy.connect()
        await peer.send(b"HEAD /up/x HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await peer.head())[1]["content-length"] == "12345"
        await peer.close()
    assert server.connections == 1


async def test_interim_answers_are_passed_over(proxy: Proxy, server: Server) -> None:
    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
        await peer.send(b"HTTP/1.1 102 Processing\r\n\r\n" + OK)

    server.script = script
    status, headers, body = await proxy.ask("GET /up/x HTTP/1.1")
    assert (status, body) == (200, b"ok")
    assert "link" not in headers


async def test_trusted_proxies_are_believed(world: Any, proxy: Proxy, server: Server) -> None:
    proxy.upstream = Upstream("orders", world.clock, trusted=[ip_network("127.0.0.0/8")]).listed([server.url])
    await proxy.ask("GET /up/x HTTP/1.1\nx-forwarded-for: 9.9.9.9\nforwarded: for=9.9.9.9\nx-forwarded-proto: https")
    sent = server.last[1]
    assert sent["x-forwarded-for"] == "9.9.9.9, 127.0.0.1"
    assert sent["x-forwarded-proto"] == "https"
    assert sent["forwarded"].startswith("for=9.9.9.9, for=127.0.0.1")
    await proxy.upstream.close()
