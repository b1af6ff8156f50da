"""Upstreams of HTTP/2: an application behind the real server, a server of gRPC, and one that breaks off where a test
says."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest

from souk.gateway.proxy.settings import UpstreamSettings
from souk.gateway.proxy.upstream import Upstream
from souk.testing.certificates import Authority
from tests.gateway.proxy.conftest import Proxy
from tests.runtime.process.http2.peer import head, http2, reply, serves, whole

ECHO = "/test.Echo/"
LIMIT = 60.0
GOAWAY = bytes.fromhex("0000080700000000000000000100000000")
"""No error, and 1 as the last stream that was begun."""
Act = Callable[["Scripted", h2.events.Event], Awaitable[None]]


@pytest.fixture
async def upstream(world: Any, settings: UpstreamSettings) -> AsyncIterator[Upstream]:
    made = Upstream("orders", world.clock, settings=settings, http2=True)
    yield made
    await made.close()


@dataclass
class Scripted:
    """A server of HTTP/2 that does with each event what a test says. `asked` counts requests, by connection."""

    act: Act
    asked: list[int] = field(default_factory=list)
    seen: list[h2.events.Event] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    settings: Mapping[int, int] = field(default_factory=dict)
    url: str = ""

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=False, validate_outbound_headers=False, normalize_outbound_headers=False
            )
        )
        self.writer, frames = writer, self.h2
        frames.initiate_connection()
        if self.settings:
            frames.update_settings(dict(self.settings))
        self.asked.append(0)
        writer.write(frames.data_to_send())
        while octets := await reader.read(65_536):
            for event in frames.receive_data(octets):
                if isinstance(event, h2.events.RequestReceived):
                    self.asked[-1] += 1
                await self.act(self, event)
                async with self.changed:
                    self.seen.append(event)
                    self.changed.notify_all()
            writer.write(frames.data_to_send())
        writer.close()

    def answer(self, stream: int, body: bytes = b"ok", *, last: bool = True) -> None:
        self.h2.send_headers(stream, [(":status", "200")])
        self.h2.send_data(stream, body, end_stream=last)
        self.flush()

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    async def until(self, kind: type[h2.events.Event]) -> Any:
        async with asyncio.timeout(LIMIT), self.changed:
            await self.changed.wait_for(lambda: any(isinstance(one, kind) for one in self.seen))
        return next(one for one in self.seen if isinstance(one, kind))


@asynccontextmanager
async def scripted_server(act: Act, settings: Mapping[int, int] | None = None) -> AsyncIterator[Scripted]:
    made = Scripted(act, settings=settings or {})
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()


@asynccontextmanager
async def scripted(upstream: Upstream, act: Act) -> AsyncIterator[Scripted]:
    async with scripted_server(act) as made:
        upstream.listed([made.url])
        yield made


def on_request(answer: Callable[[Scripted, int], None]) -> Act:
    async def act(server: Scripted, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            answer(server, event.stream_id or 0)

    return act


async def test_a_head_and_a_body_go_through(proxy: Proxy, upstream: Upstream) -> None:
    scopes: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await reply(send, b"%b %b" % (scope["http_version"].encode(), await whole(receive)), 201)

    async with serves(application) as port:
        upstream.listed([f"http://127.0.0.1:{port}"])
        status, headers, body = await proxy.ask(
            "POST /up/a?b=c HTTP/1.1\ncontent-length: 5\nconnection: x\nx: y", b"hello"
        )
        assert (status, body, headers["content-type"], headers["via"]) == (201, b"2 hello", "text/plain", "1.1 souk")
        sent = dict(scopes[0]["headers"])
        assert (scopes[0]["path"], scopes[0]["query_string"]) == ("/a", b"b=c")
        assert (sent[b"host"], sent[b"via"], sent[b"content-length"], sent[b"te"]) == (
            b"shop.test",
            b"1.1 souk",
            b"5",
            b"trailers",
        )
        assert not {b"connection", b"x", b"transfer-encoding"} & sent.keys()
        status, _, body = await proxy.ask("POST /up/a HTTP/1.1\ntransfer-encoding: chunked", b"2\r\nhi\r\n0\r\n\r\n")
        assert (status, body) == (201, b"2 hi")
        assert (await proxy.ask("GET /up/a HTTP/1.1"))[2] == b"2 "


async def test_requests_share_a_connection(proxy: Proxy, upstream: Upstream) -> None:
    waiting: list[int] = []

    def answer(server: Scripted, stream: int) -> None:
        waiting.append(stream)
        if len(waiting) == 20:
            for one in waiting:
                server.answer(one, b"%d" % one)

    async with scripted(upstream, on_request(answer)) as server:
        answers = await asyncio.gather(*[proxy.ask("GET /up/a HTTP/1.1") for _ in range(20)])
        assert sorted(int(body) for _, _, body in answers) == sorted(waiting)
        assert server.asked == [20]
        assert upstream.connections() == (1, 0)


async def test_a_large_body_waits_for_the_client_and_is_whole(proxy: Proxy, upstream: Upstream) -> None:
    size = 5_000_000

    async def application(scope: Any, receive: Any, send: Any) -> None:
        body = await whole(receive)
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})

    async with serves(application) as port:
        upstream.listed([f"http://127.0.0.1:{port}"])
        status, _, body = await proxy.ask(f"POST /up/a HTTP/1.1\ncontent-length: {size}", b"x" * size)
        assert (status, len(body)) == (200, size)


async def test_what_has_begun_goes_on_after_a_goaway(proxy: Proxy, upstream: Upstream) -> None:
    def answer(server: Scripted, stream: int) -> None:
        if len(server.asked) == 1:
            server.h2.send_headers(stream, [(":status", "200")])
            server.h2.send_data(stream, b"be")
            octets = server.h2.data_to_send()
            server.writer.write(octets + GOAWAY)
            server.h2.send_data(stream, b"gun", end_stream=True)
            server.flush()
        else:
            server.answer(stream)

    async with scripted(upstream, on_request(answer)) as server:
        assert (await proxy.ask("GET /up/a HTTP/1.1"))[2] == b"begun"
        assert (await proxy.ask("GET /up/a HTTP/1.1"))[2] == b"ok"
        assert server.asked == [1, 1]


async def test_a_refused_stream_is_sent_again(proxy: Proxy, upstream: Upstream) -> None:
    def answer(server: Scripted, stream: int) -> None:
        if server.asked == [1]:
            server.h2.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
        else:
            server.answer(stream)

    async with scripted(upstream, on_request(answer)) as server:
        status, _, body = await proxy.ask("POST /up/a HTTP/1.1\ncontent-length: 2", b"hi")
        assert (status, body, sum(server.asked)) == (200, b"ok", 2)


async def test_a_reset_stream_is_a_502_and_others_go_on(proxy: Proxy, upstream: Upstream) -> None:
    def answer(server: Scripted, stream: int) -> None:
        if stream == 1:
            server.h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        else:
            server.answer(stream)

    async with scripted(upstream, on_request(answer)) as server:
        assert (await proxy.ask("GET /up/a HTTP/1.1"))[0] == 502
        assert (await proxy.ask("GET /up/a HTTP/1.1"))[0] == 200
        assert server.asked == [2]


UNSOUND = [("x-a", "1\r\nset-cookie: mine=1"), ("x-a", "1\x00"), ("x a", "1"), ("x(a", "1"), ("x/a", "1")]
"""Fields that no message of HTTP/1.1 can carry, though HTTP/2 can."""


@pytest.mark.parametrize("field", UNSOUND, ids=repr)
async def test_an_unsound_head_is_a_502(proxy: Proxy, upstream: Upstream, field: tuple[str, str]) -> None:
    def answer(server: Scripted, stream: int) -> None:
        server.h2.send_headers(stream, [(":status", "200"), field], end_stream=True)
        server.flush()

    async with scripted(upstream, on_request(answer)) as server:
        assert (await proxy.ask("GET /up/a HTTP/1.1"))[0] == 502
        assert server.asked == [1]


@pytest.mark.parametrize("field", UNSOUND, ids=repr)
async def test_an_answer_with_unsound_trailers_is_broken_off(
    proxy: Proxy, upstream: Upstream, field: tuple[str, str]
) -> None:
    async with scripted(upstream, on_request(lambda server, stream: server.answer(stream, last=False))) as server:
        peer = await proxy.connect()
        await peer.send(b"GET /up/a HTTP/1.1\r\nhost: shop.test\r\n\r\n")
        assert (await peer.head())[0] == 200
        server.h2.send_headers(1, [field], end_stream=True)
        server.flush()
        assert await asyncio.wait_for(peer.reader.read(), LIMIT) == b"2\r\nok\r\n"
        await peer.close()


async def test_a_frame_that_is_too_long_is_not_waited_for(proxy: Proxy, upstream: Upstream) -> None:
    def answer(server: Scripted, stream: int) -> None:
        server.flush()
        server.writer.write(b"\xff\xff\xff\0\0" + stream.to_bytes(4, "big"))

    async with scripted(upstream, on_request(answer)):
        assert (await proxy.ask("GET /up/a HTTP/1.1"))[0] == 502


async def test_a_server_of_http1_is_a_502(proxy: Proxy, serve: Any, upstream: Upstream) -> None:
    upstream.listed([(await serve()).url])
    status, _, body = await proxy.ask("GET /up/a HTTP/1.1")
    assert (status, b"UPSTREAM_FAILED" in body) == (502, True)


async def test_a_client_that_gives_up_resets_the_stream(proxy: Proxy, upstream: Upstream) -> None:
    def answer(server: Scripted, stream: int) -> None:
        server.answer(stream, b"part", last=False)

    async with scripted(upstream, on_request(answer)) as server, http2(proxy.port) as peer:
        stream = await peer.ask(head("GET", "/up/x"))
        await peer.until(h2.events.DataReceived, stream)
        peer.h2.reset_stream(stream)
        await peer.flush()
        reset = await server.until(h2.events.StreamReset)
        assert reset.error_code == h2.errors.ErrorCodes.CANCEL


async def test_an_answer_before_the_whole_body_goes_through(proxy: Proxy, upstream: Upstream) -> None:
    async with scripted(upstream, on_request(lambda server, stream: server.answer(stream, b"no"))) as server:
        peer = await proxy.connect()
        await peer.send(b"POST /up/a HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 1000000\r\n\r\nx")
        status, _, body = await peer.answer()
        assert (status, body) == (200, b"no")
        await server.until(h2.events.StreamReset)
        await peer.close()


class EchoHandler(grpc.GenericRpcHandler):
    """A service that is in no contract."""

    def service(self, details: Any) -> Any:
        if details.method == ECHO + "Fail":
            return grpc.unary_unary_rpc_method_handler(self._fail)
        if details.method == ECHO + "Both":
            return grpc.stream_stream_rpc_method_handler(self._both)
        return grpc.unary_unary_rpc_method_handler(self._once)

    @staticmethod
    async def _once(request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("x-after", "all"),))
        return request[::-1]

    @staticmethod
    async def _fail(request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
        raise AssertionError

    @staticmethod
    async def _both(requests: Any, context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request[::-1]


async def test_calls_of_grpc_pass_with_their_trailers(proxy: Proxy, upstream: Upstream) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((EchoHandler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    upstream.listed([f"http://127.0.0.1:{port}"])
    async with grpc.aio.insecure_channel(f"127.0.0.1:{proxy.port}") as channel:
        call = channel.unary_unary("/up" + ECHO + "Once")(b"abc", timeout=LIMIT)
        assert await call == b"cba"
        assert dict(await call.trailing_metadata())["x-after"] == "all"
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary("/up" + ECHO + "Fail")(b"", timeout=LIMIT)
        assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.NOT_FOUND, "no such thing")
        both = channel.stream_stream("/up" + ECHO + "Both")(timeout=LIMIT)
        for text in (b"one", b"two"):  # each answer comes before the next request is made
            await both.write(text)
            assert await both.read() == text[::-1]
        await both.done_writing()
        assert await both.read() is grpc.aio.EOF
    await server.stop(None)


async def test_over_tls_http2_is_agreed_on(proxy: Proxy, world: Any, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mine = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    mine.load_cert_chain(*authority.issue("shop"))
    theirs = ssl.create_default_context(cafile=authority.ca)
    theirs.set_alpn_protocols(["h2"])
    made = Scripted(on_request(lambda server, stream: server.answer(stream)))
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0, ssl=mine)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for offers, status in (["http/1.1"], 502), (["h2"], 200):
        mine.set_alpn_protocols(offers)
        proxy.upstream = Upstream("shop", world.clock, tls=theirs, http2=True).listed([url])
        assert (await proxy.ask("GET /up/a HTTP/1.1"))[0] == status
        await proxy.upstream.close()
    server.close()


@pytest.mark.parametrize("settings", [UpstreamSettings(read_ahead=100_000)])
async def test_no_more_is_read_than_the_client_takes(proxy: Proxy, upstream: Upstream) -> None:
    sent: list[int] = []

    async def act(server: Scripted, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            server.h2.send_headers(1, [(":status", "200")])
            sent.append(0)
        while sent and (room := min(server.h2.local_flow_control_window(1), 16_384)) > 0 and sent[0] < 100_000_000:
            server.h2.send_data(1, b"x" * room)
            sent[0] += room
        server.flush()

    async with scripted(upstream, act) as server:
        peer = await proxy.connect()
        await peer.send(b"GET /up/a HTTP/1.1\r\nhost: shop.test\r\n\r\n")
        await server.until(h2.events.RequestReceived)
        before = -1
        while before != sent[0]:
            before = sent[0]
            await asyncio.sleep(0.5)
        assert 0 < sent[0] < 10_000_000
        await peer.close()
