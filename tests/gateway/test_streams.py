"""Answers whose body is a stream, and request bodies that are read as one: over a real server and real sockets."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from souk.gateway.endpoint import Endpoint
from souk.gateway.http.answers import BodyLost, Headers, HttpAnswer, StreamedAnswer
from souk.gateway.http.request import Request
from souk.runtime.process.http.server import serving
from tests.gateway.test_framing import Connection

GET = b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n"
PART = b"x" * 65_536


@dataclass
class Source:
    """A stream that a test feeds; None ends it and an exception fails it."""

    status: int = 200
    headers: Headers = field(default_factory=list)
    parts: "asyncio.Queue[bytes | Exception | None]" = field(default_factory=asyncio.Queue)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    given: int = 0
    endless: bool = False

    def put(self, *parts: bytes | Exception | None) -> None:
        for part in parts:
            self.parts.put_nowait(part)

    async def body(self) -> AsyncGenerator[bytes, None]:
        try:
            while (part := PART if self.endless else await self.parts.get()) is not None:
                if isinstance(part, Exception):
                    raise part
                self.given += len(part)
                yield part
        finally:
            self.closed.set()

    async def answer(self, request: Request, variables: Sequence[str]) -> StreamedAnswer:
        return StreamedAnswer(self.status, self.headers, self.body())


@dataclass
class Sink:
    """Reads a request's body part by part, as a test permits, and answers with its size."""

    limit: int | None = None
    may_read: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    size: int = 0

    async def answer(self, request: Request, variables: Sequence[str]) -> HttpAnswer:
        body = request.stream(self.limit)
        try:
            while True:
                await self.may_read.acquire()
                part = await anext(body, None)
                if part is None:
                    return HttpAnswer(200, [], str(self.size).encode())
                self.size += len(part)
        finally:
            self.ended.set()


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
async def peer(world: Any, source: Source, sink: Sink) -> AsyncIterator[Connection]:
    world.gateway.routes.add("GET", "/stream", Endpoint("/stream", source.answer))
    world.gateway.routes.add("POST", "/stream", Endpoint("/stream", source.answer))
    world.gateway.routes.add("POST", "/sink", Endpoint("/sink", sink.answer))
    listener = socket.create_server(("127.0.0.1", 0))
    async with serving(world.gateway, listener, drain=1.0):
        connection = await Connection.to(listener.getsockname()[1])
        yield connection
        connection.writer.transport.abort()


async def chunk(peer: Connection) -> bytes:
    size = int(await peer.reader.readuntil(b"\r\n"), 16)
    return (await peer.reader.readexactly(size + 2))[:-2]


async def test_each_part_goes_out_as_it_comes(peer: Connection, source: Source) -> None:
    await peer.send(GET)
    source.put(b"one")
    assert (await peer.head())[1]["transfer-encoding"] == "chunked"
    assert await chunk(peer) == b"one"
    source.put(b"two")
    assert await chunk(peer) == b"two"
    source.put(b"", None)
    assert await chunk(peer) == b""
    assert source.closed.is_set()
    await peer.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")  # the connection goes on
    assert (await peer.answer())[0] == 200


async def test_a_known_length_is_kept(peer: Connection, source: Source) -> None:
    source.headers = [(b"content-length", b"6")]
    source.put(b"one", b"two", None)
    await peer.send(GET)
    status, headers, body = await peer.answer()
    assert (status, headers.get("transfer-encoding"), body) == (200, None, b"onetwo")


@pytest.mark.parametrize("length", [b"", b"9"])
@pytest.mark.parametrize("error", [BodyLost("the upstream is gone"), ValueError("a mistake")])
async def test_a_lost_body_never_looks_complete(
    peer: Connection, source: Source, length: bytes, error: Exception
) -> None:
    source.headers = [(b"content-length", length)] if length else []
    await peer.send(GET)
    source.put(b"one")
    await peer.head()
    source.put(error)
    rest = await peer.reader.read()
    assert rest.endswith(b"one" if length else b"3\r\none\r\n")
    assert source.closed.is_set()


@pytest.mark.parametrize("length", [b"3", b"9"])
async def test_a_body_of_another_length_than_announced_breaks_the_answer(
    peer: Connection, source: Source, length: bytes
) -> None:
    source.headers = [(b"content-length", length)]
    source.put(b"onetwo", None)
    await peer.send(GET)
    _, headers = await peer.head()
    assert len(await peer.reader.read()) < int(headers["content-length"])
    assert source.closed.is_set()


async def test_to_http_1_0_a_body_of_unknown_length_lasts_until_the_end(peer: Connection, source: Source) -> None:
    source.put(b"one", b"two", None)
    await peer.send(GET.replace(b"1.1", b"1.0"))
    _, headers = await peer.head()
    assert (headers.get("transfer-encoding"), headers["connection"]) == (None, "close")
    assert await peer.reader.read() == b"onetwo"


async def test_to_http_1_0_a_lost_body_ends_in_a_reset(peer: Connection, source: Source) -> None:
    await peer.send(GET.replace(b"1.1", b"1.0"))
    source.put(b"one")
    await peer.head()
    assert await peer.reader.readexactly(3) == b"one"
    source.put(BodyLost("the upstream is gone"))
    with pytest.raises(ConnectionResetError):
        await peer.reader.read()


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_has_none(peer: Connection, source: Source, status: int) -> None:
    source.status, source.headers = status, [(b"content-length", b"3"), (b"etag", b'"1"')]
    await peer.send(GET + b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
    found, headers = await peer.head()
    assert (found, headers["etag"]) == (status, '"1"')
    assert not {"content-length", "transfer-encoding"} & headers.keys()
    assert (await peer.answer())[0] == 200
    assert source.given == 0


async def test_head_has_the_headers_and_no_body(peer: Connection, source: Source) -> None:
    source.headers = [(b"content-length", b"12345")]
    await peer.send(GET.replace(b"GET", b"HEAD") + b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await peer.head())[1]["content-length"] == "12345"
    assert (await peer.answer())[0] == 200
    assert source.given == 0


async def test_a_client_that_leaves_closes_the_stream(peer: Connection, source: Source) -> None:
    await peer.send(GET)
    source.put(b"one")
    await peer.head()
    await peer.close()
    await source.closed.wait()


async def test_a_client_that_does_not_read_stops_the_stream(peer: Connection, source: Source) -> None:
    source.endless = True
    await peer.send(GET)
    await peer.head()
    before = -1
    while before != source.given:  # until nothing moves any more
        before = source.given
        await asyncio.sleep(0.2)
    assert source.given < 16 * 1024 * 1024  # the system's buffers, at most
    await peer.close()
    await source.closed.wait()


async def test_a_body_that_nobody_has_read_ends_the_connection(peer: Connection, source: Source) -> None:
    await peer.send(b"POST /stream HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1000)
    source.put(b"one", None)
    assert (await peer.head())[1]["connection"] == "close"
    assert await peer.reader.read() == b"3\r\none\r\n0\r\n\r\n"


async def test_a_request_body_is_read_as_it_comes(peer: Connection, sink: Sink) -> None:
    for _ in range(10):
        sink.may_read.release()
    await peer.send(b"POST /sink HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
    while sink.size < 3:
        await asyncio.sleep(0.01)
    await peer.send(b"3\r\ntwo\r\n0\r\n\r\n")
    assert (await peer.answer())[2] == b"6"


async def test_a_request_body_that_is_not_read_stops_the_client(peer: Connection, sink: Sink) -> None:
    octets = 64 * 1024 * 1024
    await peer.send(b"POST /sink HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % octets)
    sent = 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            while sent < octets:
                await peer.send(PART)
                sent += len(PART)
    assert sent < 16 * 1024 * 1024
    peer.writer.transport.abort()
    while not sink.ended.is_set():
        sink.may_read.release()
        await asyncio.sleep(0)


@pytest.mark.parametrize("head", [b"content-length: 11", b"transfer-encoding: chunked"])
async def test_a_request_body_over_the_limit_is_refused(peer: Connection, sink: Sink, head: bytes) -> None:
    sink.limit = 10
    for _ in range(10):
        sink.may_read.release()
    body = b"x" * 11 if b"length" in head else b"b\r\nxxxxxxxxxxx\r\n0\r\n\r\n"
    await peer.send(b"POST /sink HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n\r\n" + body)
    assert (await peer.answer())[0] == 413


async def test_who_waits_to_continue_may_once_the_body_is_wanted(peer: Connection, sink: Sink) -> None:
    await peer.send(b"POST /sink HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(peer.head(), 0.3)
    for _ in range(10):
        sink.may_read.release()
    assert (await peer.head())[0] == 100
    await peer.send(b"one")
    assert (await peer.answer())[2] == b"3"
