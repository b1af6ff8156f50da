"""Upstreams of HTTP/2 that misbehave: what the client gets, and that the gateway goes on."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import h2.errors
import h2.events
import h2.settings
import pytest
from hyperframe.frame import PingFrame, SettingsFrame

from souk.gateway.proxy.http2.connection import Http2UpstreamConnection
from souk.gateway.proxy.http2.stream import UpstreamStream
from souk.gateway.proxy.settings import UpstreamSettings
from souk.gateway.proxy.upstream import Upstream
from souk.http2.frames import MOST_TABLE
from tests.attacks.corpus.answers import HostileAnswer
from tests.attacks.corpus.http2_answers import (
    AFTER_THE_END_HTTP2,
    BROKEN_OFF_HTTP2,
    FLOODS_HTTP2,
    SOUND_HTTP2,
    UNSOUND_HTTP2,
    WRONG_LENGTH_HTTP2,
    data,
)
from tests.gateway.proxy.conftest import Proxy
from tests.gateway.proxy.test_http2_upstreams import LIMIT, Scripted, on_request, scripted, scripted_server
from tests.gateway.test_framing import Connection

GET = "GET /up/x HTTP/1.1"


@pytest.fixture
async def upstream(world: Any, settings: UpstreamSettings) -> AsyncIterator[Upstream]:
    made = Upstream("orders", world.clock, settings=settings, http2=True)
    yield made
    await made.close()


class Hostile:
    """Answers each request with `octets`, as they are, and soundly once there are none. `begin` comes before them."""

    def __init__(self, octets: bytes, *, begin: bool = False) -> None:
        self.octets, self.begin = octets, begin
        self.go_on = asyncio.Event()
        self.writing: list[asyncio.Task[None]] = []

    async def __call__(self, server: Scripted, event: h2.events.Event) -> None:
        if not isinstance(event, h2.events.RequestReceived):
            return
        if not self.octets:
            server.answer(event.stream_id or 0)
            return
        if self.begin:
            server.answer(event.stream_id or 0, b"one", last=False)
        server.flush()
        self.writing.append(asyncio.create_task(self._write(server.writer)))

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        if self.begin:
            await self.go_on.wait()
        writer.write(self.octets)


@asynccontextmanager
async def hostile(proxy: Proxy, row: HostileAnswer, *, begin: bool = False) -> AsyncIterator[Hostile]:
    """Sends a row to each request; after the block, requests are answered as if nothing had been."""
    act = Hostile(row.octets, begin=begin)
    async with scripted(proxy.upstream, act):
        yield act
        act.octets = b""
        status, _, body = await asyncio.wait_for(proxy.ask(GET), LIMIT)
        assert (status, body) == (200, b"ok")
        assert proxy.upstream.connections()[1] == 0  # none that nobody uses, and that still counts as busy


async def begun(proxy: Proxy) -> Connection:
    peer = await proxy.connect()
    await peer.send(f"{GET}\r\nhost: x\r\n\r\n".encode())
    assert (await asyncio.wait_for(peer.head(), LIMIT))[0] == 200
    return peer


async def rest(peer: Connection) -> bytes:
    found = await asyncio.wait_for(peer.reader.read(), LIMIT)
    await peer.close()
    return found


@pytest.mark.parametrize("row", [*UNSOUND_HTTP2, *FLOODS_HTTP2], ids=lambda row: row.name)
async def test_what_is_no_answer_is_refused(proxy: Proxy, row: HostileAnswer) -> None:
    async with hostile(proxy, row):
        status, headers, body = await asyncio.wait_for(proxy.ask(GET), LIMIT)
        assert (status, headers["content-type"]) == (502, "application/problem+json")
        assert b"UPSTREAM_FAILED" in body


@pytest.mark.parametrize("row", BROKEN_OFF_HTTP2, ids=lambda row: row.name)
async def test_what_follows_a_head_breaks_the_answer(proxy: Proxy, row: HostileAnswer) -> None:
    async with hostile(proxy, row, begin=True) as act:
        peer = await begun(proxy)
        act.go_on.set()
        assert b"0\r\n\r\n" not in await rest(peer)


@pytest.mark.parametrize("row", WRONG_LENGTH_HTTP2, ids=lambda row: row.name)
async def test_a_body_of_another_length_never_looks_complete(proxy: Proxy, row: HostileAnswer) -> None:
    async with hostile(proxy, row):
        peer = await proxy.connect()
        await peer.send(f"{GET}\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        status, headers = await asyncio.wait_for(peer.head(), LIMIT)
        body = await rest(peer)
        assert status == 502 or (status == 200 and len(body) < int(headers["content-length"])), (headers, body)


@pytest.mark.parametrize("row", AFTER_THE_END_HTTP2, ids=lambda row: row.name)
async def test_what_follows_the_end_reaches_nobody(proxy: Proxy, row: HostileAnswer) -> None:
    async with hostile(proxy, row):
        status, _, body = await asyncio.wait_for(proxy.ask(GET), LIMIT)
        assert status == 502 or (status, body) == (200, b"ok")


async def test_a_request_that_is_refused_each_time_is_sent_twice(proxy: Proxy, upstream: Upstream) -> None:
    def refuse(server: Scripted, stream: int) -> None:
        server.h2.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)

    async with scripted(upstream, on_request(refuse)) as server:
        assert (await proxy.ask(GET))[0] == 502
        assert sum(server.asked) == 2


@pytest.mark.parametrize("row", SOUND_HTTP2, ids=lambda row: row.name)
async def test_what_is_odd_and_sound_goes_through(proxy: Proxy, row: HostileAnswer) -> None:
    async with hostile(proxy, row):
        status, _, body = await asyncio.wait_for(proxy.ask(GET), LIMIT)
        assert (status, body) in ((200, b"ok"), (304, b""))


class TestAgainstTheWindows:
    """What an upstream can make the gateway keep for a client that reads nothing, or for an upstream that does not."""

    @pytest.fixture
    def settings(self) -> UpstreamSettings:
        return UpstreamSettings(read_ahead=100_000)

    async def test_more_than_the_window_ends_the_connection(self, proxy: Proxy) -> None:
        act = Hostile(b"".join(data(b"x" * 16_384).serialize() for _ in range(1_000)), begin=True)
        async with scripted(proxy.upstream, act):
            peer = await begun(proxy)
            act.go_on.set()
            assert len(await rest(peer)) < 8_000_000

    async def test_single_octets_do_not_fill_the_memory(self) -> None:
        stream = UpstreamStream(1, SimpleNamespace(acknowledge=lambda stream, octets: None))  # type: ignore[arg-type]
        tracemalloc.start()
        try:
            for _ in range(100_000):
                stream.feed(b"x", 1)
            assert tracemalloc.get_traced_memory()[0] < 1_000_000
        finally:
            tracemalloc.stop()
        assert stream.rest() == b"x" * 100_000

    async def test_an_upstream_that_reads_nothing_gets_no_endless_answers(self) -> None:
        gone: list[object] = []
        connection = Http2UpstreamConnection(UpstreamSettings(), gone.append)
        transport = Unread()
        connection.connection_made(transport)
        connection.data_received(SettingsFrame(0).serialize())
        connection.pause_writing()
        for _ in range(1_000):
            connection.data_received(PingFrame(0, b"12345678").serialize())
        assert transport.is_closing()
        assert len(transport.written) < 10_000

    async def test_the_table_of_fields_that_are_sent_stays_small(self, proxy: Proxy) -> None:
        """The upstream allows one of 2 GiB, and each request has fields of its own."""

        def answer(server: Scripted, stream: int) -> None:
            server.answer(stream)

        table = {h2.settings.SettingCodes.HEADER_TABLE_SIZE: 2**31 - 1}
        async with scripted_server(on_request(answer), table) as server:
            proxy.upstream.listed([server.url])
            for _ in range(3):
                assert (await proxy.ask(GET))[0] == 200
            assert server.asked == [3]
            assert server.h2.decoder.header_table.maxsize <= MOST_TABLE


class Unread(asyncio.Transport):
    """A transport whose other end reads nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self._closing = bytearray(), False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def close(self) -> None:
        self._closing = True

    def is_closing(self) -> bool:
        return self._closing
