"""Upstreams that misbehave: what the client gets, and that the gateway goes on."""

import asyncio
from typing import Any

import pytest

from souk.gateway.proxy.settings import UpstreamSettings
from souk.gateway.routing.model import RetryPolicy, Timeouts
from tests.attacks.corpus.answers import BROKEN_OFF, UNSOUND, HostileAnswer
from tests.gateway.proxy.conftest import OK, Accepted, Proxy, Server, answering
from tests.gateway.test_framing import Connection

GET = "GET /up/x HTTP/1.1"


def saying(octets: bytes) -> Any:
    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(octets)
        await peer.reader.read()

    return script


@pytest.mark.parametrize("row", UNSOUND, ids=lambda row: row.name)
async def test_an_answer_that_is_not_sound_is_refused(proxy: Proxy, server: Server, row: HostileAnswer) -> None:
    server.script = saying(row.octets)
    status, headers, body = await proxy.ask(GET)
    assert (status, headers["content-type"]) == (502, "application/problem+json")
    assert b"UPSTREAM_FAILED" in body
    assert b"127.0.0.1" not in body
    server.script = answering
    assert (await proxy.ask(GET))[0] == 200


@pytest.mark.parametrize("row", BROKEN_OFF, ids=lambda row: row.name)
async def test_a_bad_chunk_breaks_the_answer(proxy: Proxy, server: Server, row: HostileAnswer) -> None:
    """In the first octets it is a 502; once the answer has begun, it must not look complete."""
    go_on = asyncio.Event()

    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        await go_on.wait()
        await peer.send(row.octets)
        await peer.reader.read()

    server.script = script
    peer = await begun(proxy)
    go_on.set()
    rest = await peer.reader.read()
    assert b"0\r\n\r\n" not in rest
    await peer.close()


async def begun(proxy: Proxy, head: str = GET) -> Connection:
    peer = await proxy.connect()
    await peer.send(f"{head}\r\nhost: x\r\n\r\n".encode())
    assert (await peer.head())[0] == 200
    return peer


@pytest.mark.parametrize("reset", [False, True])
async def test_an_answer_that_ends_in_its_head_is_a_502(proxy: Proxy, server: Server, reset: bool) -> None:
    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-")
        if reset:
            peer.reset()

    server.script = script
    assert (await proxy.ask(GET))[0] == 502


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("framing", [b"content-length: 10", b"transfer-encoding: chunked"])
async def test_an_answer_that_ends_in_its_body_never_looks_complete(
    proxy: Proxy, server: Server, framing: bytes, reset: bool
) -> None:
    drop = asyncio.Event()

    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(
            b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + (b"3\r\none\r\n" if b"ch" in framing else b"one")
        )
        await drop.wait()
        if reset:
            peer.reset()

    server.script = script
    peer = await begun(proxy)
    drop.set()
    rest = await peer.reader.read()
    assert b"one" in rest
    assert b"0\r\n\r\n" not in rest
    assert len(rest) < 10 or b"ch" in framing
    await peer.close()


@pytest.mark.parametrize("reset", [False, True])
async def test_an_upstream_that_closes_at_once_is_a_502(proxy: Proxy, server: Server, reset: bool) -> None:
    async def script(peer: Accepted) -> None:
        if reset:
            peer.reset()

    server.script = script
    assert (await proxy.ask(GET))[0] == 502
    assert (await proxy.ask("POST /up/x HTTP/1.1\ncontent-length: 1", b"x"))[0] == 502


async def test_nobody_listening_is_a_502_and_no_instance_a_503(proxy: Proxy) -> None:
    proxy.upstream.listed(["http://127.0.0.1:1"])
    assert (await proxy.ask(GET))[0] == 502
    proxy.upstream.listed([])
    status, headers, body = await proxy.ask(GET)
    assert (status, headers["retry-after"]) == (503, "1")
    assert b"UPSTREAM_UNAVAILABLE" in body


async def test_octets_that_nobody_asked_for_end_a_kept_connection(proxy: Proxy, server: Server) -> None:
    server.script = saying(OK + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
    assert (await proxy.ask(GET))[2] == b"ok"
    server.script = answering
    assert (await proxy.ask(GET))[2] == b"ok"
    assert server.connections == 2


async def test_a_body_after_the_answer_to_head_is_no_answer_to_the_next(proxy: Proxy, server: Server) -> None:
    server.script = saying(b"HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n" + OK)
    peer = await proxy.connect()
    await peer.send(b"HEAD /up/x HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await peer.head())[0] == 200
    server.script = answering
    assert (await proxy.ask(GET))[2] == b"ok"
    assert server.connections == 2
    await peer.close()


async def test_a_late_answer_is_a_504(proxy: Proxy, server: Server) -> None:
    server.script = saying(b"")
    for timeouts in (Timeouts(backend_request=0.1), Timeouts(request=0.1), Timeouts(5.0, 0.1)):
        proxy.timeouts = timeouts
        status, _, body = await proxy.ask(GET)
        assert (status, b"UPSTREAM_TIMEOUT" in body) == (504, True)
    assert isinstance(await server.ended.get(), type(None))  # the upstream's connection is closed, too


async def test_an_answer_that_lasts_too_long_never_looks_complete(proxy: Proxy, server: Server) -> None:
    server.script = saying(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
    proxy.timeouts = Timeouts(request=0.3)
    peer = await begun(proxy)
    assert b"0\r\n\r\n" not in await peer.reader.read()
    await peer.close()


class TestImpatient:
    @pytest.fixture
    def settings(self) -> UpstreamSettings:
        return UpstreamSettings(idle=0.2, connections=1)

    async def test_a_body_that_stops_never_looks_complete(self, proxy: Proxy, server: Server) -> None:
        server.script = saying(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        peer = await begun(proxy)
        assert b"0\r\n\r\n" not in await peer.reader.read()
        await peer.close()

    async def test_an_upstream_that_does_not_read_is_late(self, proxy: Proxy, server: Server) -> None:
        over = asyncio.Event()

        async def script(peer: Accepted) -> None:
            await peer.head()
            await over.wait()

        server.script = script
        peer = await proxy.connect()
        await peer.send(b"POST /up/x HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n")
        sending = asyncio.create_task(peer.send(b"x" * 100_000_000))
        assert (await peer.head())[0] == 504
        sending.cancel()
        over.set()
        peer.writer.transport.abort()
        await asyncio.gather(sending, return_exceptions=True)

    async def test_more_connections_than_there_may_be_are_refused(self, proxy: Proxy, server: Server) -> None:
        server.script = saying(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n")
        peer = await begun(proxy)
        assert (await proxy.ask(GET))[0] == 503
        await peer.close()


async def test_a_kept_connection_that_has_ended_is_not_seen_by_a_client(proxy: Proxy, server: Server) -> None:
    """The upstream reads the second request and closes, as one does whose time for kept connections is over."""

    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(OK)
        if server.connections == 1:
            await peer.request()
            peer.reset()

    server.script = script
    assert (await proxy.ask(GET))[0] == 200
    assert (await proxy.ask(GET))[0] == 200
    assert server.connections == 2


async def test_a_post_on_a_connection_that_ends_is_sent_once(proxy: Proxy, server: Server) -> None:
    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()

    server.script = script
    assert (await proxy.ask(GET))[0] == 200
    assert (await proxy.ask("POST /up/x HTTP/1.1\ncontent-length: 1", b"x"))[0] == 502
    assert len(server.requests) == 2


async def test_a_kept_connection_that_was_closed_before_takes_no_post(proxy: Proxy, server: Server) -> None:
    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(OK)

    server.script = script
    assert (await proxy.ask(GET))[0] == 200
    await server.ended.get()
    assert (await proxy.ask("POST /up/x HTTP/1.1\ncontent-length: 1", b"x"))[0] == 200


async def test_the_codes_of_a_route_are_tried_again(proxy: Proxy, server: Server) -> None:
    async def script(peer: Accepted) -> None:
        for number in range(5):
            await peer.request()
            status = b"503 No" if len(server.requests) < 3 else b"200 OK"
            await peer.send(b"HTTP/1.1 %b\r\ncontent-length: 1\r\n\r\n%d" % (status, number))

    server.script = script
    proxy.retry = RetryPolicy(frozenset({503}), attempts=2, backoff=0.001)
    assert (await proxy.ask("POST /up/x HTTP/1.1\ncontent-length: 1", b"x"))[0] == 200
    assert len(server.requests) == 3


@pytest.mark.parametrize(("method", "tries"), [("GET", 3), ("POST", 1)])
async def test_a_failed_connection_is_tried_again_if_that_does_no_harm(
    proxy: Proxy, server: Server, method: str, tries: int
) -> None:
    async def script(peer: Accepted) -> None:
        await peer.request()

    server.script = script
    proxy.retry = RetryPolicy(attempts=2, backoff=0.001)
    body = b"x" if method == "POST" else b""
    assert (await proxy.ask(f"{method} /up/x HTTP/1.1\ncontent-length: {len(body)}", body))[0] == 502
    assert len(server.requests) == tries


async def test_a_body_that_is_too_long_to_keep_is_sent_once(proxy: Proxy, server: Server) -> None:
    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")

    server.script = script
    proxy.retry = RetryPolicy(frozenset({503}), attempts=2, backoff=0.001)
    assert (await proxy.ask("PUT /up/x HTTP/1.1\ncontent-length: 100000", b"x" * 100_000))[0] == 503
    assert len(server.requests) == 1


async def test_a_dead_instance_is_passed_over(serve: Any, proxy: Proxy) -> None:
    alive = await serve()
    proxy.upstream.listed(["http://127.0.0.1:1", alive.url])
    for _ in range(20):
        assert (await proxy.ask("POST /up/x HTTP/1.1\ncontent-length: 1", b"x"))[0] == 200
    assert len(alive.requests) == 20


async def test_instances_share_the_requests(serve: Any, proxy: Proxy) -> None:
    servers = [await serve() for _ in range(3)]
    proxy.upstream.listed([one.url for one in servers])
    for _ in range(60):
        assert (await proxy.ask(GET))[0] == 200
    assert min(len(one.requests) for one in servers) > 5


async def test_the_breaker_answers_for_an_upstream_that_fails(proxy: Proxy, server: Server) -> None:
    server.script = saying(b"garbage\r\n\r\n")
    statuses = [(await proxy.ask(GET))[0] for _ in range(30)]
    assert statuses[:20] == [502] * 20
    assert statuses[-1] == 503
    assert server.connections < 30
