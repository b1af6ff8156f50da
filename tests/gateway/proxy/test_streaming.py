"""Bodies as streams: each part at once, no more of it in memory than there is room for, and the ends of both sides."""

import asyncio

import pytest

from tests.gateway.proxy.conftest import OK, Accepted, Proxy, Server
from tests.gateway.test_framing import Connection

MEBIBYTE = 1024 * 1024
LARGE = 200 * MEBIBYTE
PART = b"x" * 65_536
BUFFERS = 24 * MEBIBYTE
"""What the system's sockets hold between client and upstream, at most, and the gateway."""
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


async def begun(proxy: Proxy, request: bytes = b"GET /up/x HTTP/1.1\r\nhost: x\r\n\r\n") -> Connection:
    peer = await proxy.connect()
    await peer.send(request)
    return peer


async def chunk(peer: Connection) -> bytes:
    size = int(await peer.reader.readuntil(b"\r\n"), 16)
    return (await peer.reader.readexactly(size + 2))[:-2]


async def standstill(count: "list[int]") -> None:
    """Waits until a count has stopped."""
    before = -1
    while before != count[0]:
        before = count[0]
        await asyncio.sleep(0.3)


async def test_each_event_arrives_at_once(proxy: Proxy, server: Server) -> None:
    events: asyncio.Queue[bytes] = asyncio.Queue()

    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        while event := await events.get():
            await peer.send(b"%x\r\n%b\r\n" % (len(event), event))
        await peer.send(b"0\r\n\r\n")

    server.script = script
    peer = await begun(proxy)
    assert (await peer.head())[1]["content-type"] == "text/event-stream"
    for number in range(3):  # the next event is sent only once this one has arrived
        event = b"data: %d\n\n" % number
        events.put_nowait(event)
        assert await chunk(peer) == event
    events.put_nowait(b"")
    assert await chunk(peer) == b""
    await peer.close()


async def test_a_client_that_leaves_ends_the_upstreams_stream(proxy: Proxy, server: Server) -> None:
    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(CHUNKED + b"2\r\nok\r\n")
        assert await peer.reader.read() == b""

    server.script = script
    peer = await begun(proxy)
    await peer.head()
    await peer.close()
    await server.ended.get()


async def test_a_client_that_leaves_before_the_answer_ends_the_upstreams_request(proxy: Proxy, server: Server) -> None:
    came = asyncio.Event()

    async def script(peer: Accepted) -> None:
        await peer.request()
        came.set()
        assert await peer.reader.read() == b""

    server.script = script
    peer = await begun(proxy)
    await came.wait()
    await peer.close()
    await server.ended.get()


@pytest.mark.parametrize(
    "framing",
    [b"content-length: %d" % LARGE, pytest.param(b"transfer-encoding: chunked", marks=pytest.mark.full)],
)
async def test_a_client_that_does_not_read_stops_the_upstream(proxy: Proxy, server: Server, framing: bytes) -> None:
    sent = [0]

    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        part = b"%x\r\n%b\r\n" % (len(PART), PART) if b"chunked" in framing else PART
        while sent[0] < LARGE:
            await peer.send(part)
            sent[0] += len(PART)
        await peer.send(b"0\r\n\r\n" if b"chunked" in framing else b"")

    server.script = script
    peer = await begun(proxy)
    await peer.head()
    await standstill(sent)
    assert sent[0] < BUFFERS
    size = 0
    if b"chunked" in framing:
        while part := await chunk(peer):
            size += len(part)
    else:
        while size < LARGE:
            size += len(await peer.reader.read(MEBIBYTE))
    assert size == LARGE
    await peer.close()


@pytest.mark.parametrize(
    "framing",
    [b"content-length: %d" % LARGE, pytest.param(b"transfer-encoding: chunked", marks=pytest.mark.full)],
)
async def test_an_upstream_that_does_not_read_stops_the_client(proxy: Proxy, server: Server, framing: bytes) -> None:
    read_on, sent, got = asyncio.Event(), [0], [0]

    async def script(peer: Accepted) -> None:
        _, headers = await peer.head()
        await read_on.wait()
        if "content-length" in headers:
            while got[0] < LARGE:
                got[0] += len(await peer.reader.read(MEBIBYTE))
        else:
            got[0] = len(await peer.body(headers))
        await peer.send(OK)

    async def upload() -> None:
        part = b"%x\r\n%b\r\n" % (len(PART), PART) if b"chunked" in framing else PART
        while sent[0] < LARGE:
            await peer.send(part)
            sent[0] += len(PART)
        await peer.send(b"0\r\n\r\n" if b"chunked" in framing else b"")

    server.script = script
    peer = await begun(proxy, b"POST /up/x HTTP/1.1\r\nhost: x\r\n" + framing + b"\r\n\r\n")
    uploading = asyncio.create_task(upload())
    await standstill(sent)
    assert sent[0] < BUFFERS
    read_on.set()
    assert (await peer.answer())[2] == b"ok"
    await uploading
    assert got[0] == LARGE
    await peer.close()


async def test_an_answer_before_the_body_was_read_reaches_the_client(proxy: Proxy, server: Server) -> None:
    async def script(peer: Accepted) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 4\r\nconnection: close\r\n\r\nless")

    server.script = script
    peer = await begun(proxy, b"POST /up/x HTTP/1.1\r\nhost: x\r\ncontent-length: 10000000\r\n\r\nxxx")
    status, headers, body = await peer.answer()
    assert (status, headers["connection"], body) == (413, "close", b"less")
    await peer.close()


async def test_both_bodies_may_go_on_at_once(proxy: Proxy, server: Server) -> None:
    async def echo(peer: Accepted) -> None:
        await peer.head()
        await peer.send(CHUNKED)
        while size := int(await peer.reader.readuntil(b"\r\n"), 16):
            part = await peer.reader.readexactly(size + 2)
            await peer.send(b"%x\r\n%b" % (size, part))
        await peer.send(b"0\r\n\r\n")

    server.script = echo
    peer = await begun(proxy, b"POST /up/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
    await peer.head()
    for word in (b"one", b"three"):
        await peer.send(b"%x\r\n%b\r\n" % (len(word), word))
        assert await chunk(peer) == word
    await peer.send(b"0\r\n\r\n")
    assert await chunk(peer) == b""
    await peer.close()


async def test_the_upstream_decides_whether_the_client_continues(proxy: Proxy, server: Server) -> None:
    async def script(peer: Accepted) -> None:
        _, headers = await peer.head()
        assert headers["expect"] == "100-continue"
        if len(server.requests) == 1:
            await peer.send(b"HTTP/1.1 417 No\r\ncontent-length: 0\r\n\r\n")
            assert await peer.reader.read() == b""  # nothing of the body
        else:
            await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert await peer.body(headers) == b"hello"
            await peer.send(OK)

    server.script = script
    head = b"POST /up/x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n"
    refused = await begun(proxy, head)
    assert (await refused.head())[0] == 417
    await refused.close()
    peer = await begun(proxy, head)
    assert (await peer.head())[0] == 100
    await peer.send(b"hello")
    assert (await peer.answer())[2] == b"ok"
    await peer.close()


@pytest.mark.parametrize("framing", [b"content-length: 2000", b"transfer-encoding: chunked"])
async def test_a_body_over_the_routes_limit_is_refused(proxy: Proxy, server: Server, framing: bytes) -> None:
    proxy.max_body = 1000
    peer = await begun(proxy, b"POST /up/x HTTP/1.1\r\nhost: x\r\n" + framing + b"\r\n\r\n")
    await peer.send(b"x" * 2000 if b"length" in framing else b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n")
    assert (await peer.head())[0] == 413
    await peer.close()


async def test_a_client_that_leaves_in_its_upload_ends_the_upstreams_request(proxy: Proxy, server: Server) -> None:
    async def script(peer: Accepted) -> None:
        _, headers = await peer.head()
        await peer.body(headers)

    server.script = script
    peer = await begun(proxy, b"POST /up/x HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nx")
    await peer.close()
    assert isinstance(await server.ended.get(), asyncio.IncompleteReadError)
