"""Streams of replies as lines, events or octets, and files that arrive in parts: over real sockets."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.api.httpbody_pb2 import HttpBody

from souk.gateway.transcoding.streams import format_for
from souk.kernel.errors import DomainError
from souk.runtime.process.http.server import serving
from tests.gateway.test_framing import Connection
from tests.gateway.transcoding.conftest import Library
from tests.library import message

WATCH = "/v1/shelves/s1/books:watch"
PATIENCE = 60.0


@pytest.fixture
async def peer(library: Library) -> AsyncIterator[Connection]:
    listener = socket.create_server(("127.0.0.1", 0))
    async with serving(library.gateway, listener, drain=1.0):
        connection = await Connection.to(listener.getsockname()[1])
        yield connection
        connection.writer.transport.abort()


async def get(peer: Connection, target: str, accept: str = "", method: str = "GET") -> tuple[int, dict[str, str]]:
    more = f"accept: {accept}\r\n" if accept else ""
    await peer.send(f"{method} {target} HTTP/1.1\r\nhost: x\r\n{more}\r\n".encode())
    return await peer.head()


async def chunk(peer: Connection) -> bytes:
    async with asyncio.timeout(PATIENCE):
        size = int(await peer.reader.readuntil(b"\r\n"), 16)
        return (await peer.reader.readexactly(size + 2))[:-2]


async def body(peer: Connection) -> bytes:
    parts = []
    while part := await chunk(peer):
        parts.append(part)
    return b"".join(parts)


def book(number: int) -> Any:
    return message("Book")(name=f"b{number}", title="t")


@asynccontextmanager
async def told(library: Library) -> AsyncIterator["asyncio.Queue[Any]"]:
    """Lets a test give the books one by one; None ends the stream, an exception fails it."""
    books: asyncio.Queue[Any] = asyncio.Queue()

    async def watch(_: Any) -> AsyncIterator[Any]:
        while (given := await books.get()) is not None:
            if isinstance(given, Exception):
                raise given
            yield given

    library.behaviours["WatchBooks"] = watch
    yield books


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "application/x-ndjson"),
        ("*/*", "application/x-ndjson"),
        ("application/json", "application/x-ndjson"),
        ("text/html,*/*;q=0.1", "application/x-ndjson"),
        ("application/jsonl", "application/jsonl"),
        ("text/event-stream", "text/event-stream"),
        ("text/*", "text/event-stream"),
        ("Text/Event-Stream; charset=utf-8", "text/event-stream"),
        ("application/x-ndjson;q=0.5, text/event-stream", "text/event-stream"),
        ("text/event-stream;q=0.5, application/jsonl;q=0.6", "application/jsonl"),
        ("text/event-stream;q=0, */*", "application/x-ndjson"),
        ("text/event-stream;q=x", "application/x-ndjson"),
        (",;q=,", "application/x-ndjson"),
    ],
)
def test_accept_chooses_the_format(accept: str, kind: str) -> None:
    assert format_for(accept).media_type == kind


async def test_replies_are_lines_and_each_goes_out_as_it_comes(library: Library, peer: Connection) -> None:
    async with told(library) as books:
        books.put_nowait(book(1))
        status, headers = await get(peer, f"{WATCH}?pageSize=2")
        assert (status, headers["content-type"]) == (200, "application/x-ndjson")
        assert (headers["cache-control"], headers["vary"]) == ("no-store", "accept")
        assert json.loads(await chunk(peer)) == {"name": "b1", "title": "t", "tags": []}
        books.put_nowait(book(2))
        assert (await chunk(peer)).endswith(b"}\n")
        books.put_nowait(None)
        assert await chunk(peer) == b""
        assert (library.asked.parent, library.asked.page_size) == ("shelves/s1", 2)
        books.put_nowait(None)
        assert (await get(peer, WATCH))[0] == 200  # the connection goes on; a stream may have no reply
        assert await body(peer) == b""


async def test_replies_are_events_for_those_who_prefer_them(library: Library, peer: Connection) -> None:
    async with told(library) as books:
        for given in (book(1), book(2), None):
            books.put_nowait(given)
        _, headers = await get(peer, "/v1/shelves/s1/titles:watch", "text/event-stream")
        assert headers["content-type"] == "text/event-stream"
        assert await body(peer) == b'data: "t"\n\ndata: "t"\n\nevent: end\ndata: {}\n\n'


async def test_a_refusal_before_the_first_reply_has_its_own_status(library: Library, peer: Connection) -> None:
    async with told(library) as books:
        books.put_nowait(DomainError("NO_SUCH_BOOK", "this book does not exist"))
        await peer.send(f"GET {WATCH} HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n".encode())
        status, headers, document = await peer.answer()
        assert (status, headers["content-type"]) == (404, "application/problem+json")
        assert json.loads(document)["code"] == "NO_SUCH_BOOK"


@pytest.mark.parametrize(
    ("failure", "code"), [(DomainError("NO_SUCH_BOOK", "no"), "NO_SUCH_BOOK"), (ValueError("secret"), "INTERNAL")]
)
@pytest.mark.parametrize("accept", ["", "text/event-stream"])
async def test_a_failure_midway_is_the_last_line_or_event(
    library: Library, peer: Connection, failure: Exception, code: str, accept: str
) -> None:
    async with told(library) as books:
        for given in (book(1), failure):
            books.put_nowait(given)
        _, headers = await get(peer, WATCH, accept)
        sent = await body(peer)
        if accept:
            first, last, rest = sent.split(b"\n\n")
            assert (first[:6], rest) == (b"data: ", b"")
            problem = json.loads(last.removeprefix(b"event: problem\ndata: "))
        else:
            problem = json.loads(sent.splitlines()[1])["problem"]
        assert (problem["code"], problem["requestId"]) == (code, headers["x-request-id"])
        assert b"secret" not in sent
        books.put_nowait(None)
        assert (await get(peer, WATCH))[0] == 200  # the answer was complete


async def test_a_client_that_leaves_ends_the_call(library: Library, peer: Connection) -> None:
    ended, begun = asyncio.Event(), asyncio.Event()

    async def watch(_: Any) -> AsyncIterator[Any]:
        try:
            yield book(1)
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    library.behaviours["WatchBooks"] = watch
    await get(peer, WATCH)
    await chunk(peer)
    await begun.wait()
    peer.writer.transport.abort()
    async with asyncio.timeout(PATIENCE):
        await ended.wait()


async def test_a_client_that_leaves_before_the_first_reply_ends_the_call(library: Library, peer: Connection) -> None:
    ended, begun = asyncio.Event(), asyncio.Event()

    async def watch(_: Any) -> AsyncIterator[Any]:
        try:
            begun.set()
            await asyncio.Event().wait()
            yield book(1)
        finally:
            ended.set()

    library.behaviours["WatchBooks"] = watch
    await peer.send(f"GET {WATCH} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    await begun.wait()
    peer.writer.transport.abort()
    async with asyncio.timeout(PATIENCE):
        await ended.wait()


async def test_a_client_that_does_not_read_stops_the_service(library: Library, peer: Connection) -> None:
    given, stopped = 0, asyncio.Event()
    large = message("Book")(name="n", title="x" * 100_000)

    async def watch(_: Any) -> AsyncIterator[Any]:
        nonlocal given
        try:
            while given < 2_000:
                given += 1
                yield large
        finally:
            stopped.set()

    library.behaviours["WatchBooks"] = watch
    await get(peer, WATCH)
    before = -1
    while before != given:  # until buffers and sockets are full
        before = given
        await asyncio.sleep(0.2)
    assert given < 1_000
    assert not stopped.is_set()


async def test_head_has_the_headers_alone(library: Library, peer: Connection) -> None:
    async with told(library) as books:
        books.put_nowait(book(1))
        status, headers = await get(peer, WATCH, method="HEAD")
        assert (status, headers["content-type"]) == (200, "application/x-ndjson")
        assert (await get(peer, "/nowhere"))[0] == 404


async def test_a_file_comes_in_parts_with_the_type_of_the_first(library: Library, peer: Connection) -> None:
    async def stream(_: Any) -> AsyncIterator[Any]:
        yield HttpBody(content_type="text/csv", data=b"a,b\n")
        yield HttpBody(data=b"1,2\n")

    library.behaviours["StreamFile"] = stream
    _, headers = await get(peer, "/v1/stream/a/b.csv", "text/event-stream")
    assert headers["content-type"] == "text/csv"
    assert (await chunk(peer), await chunk(peer), await chunk(peer)) == (b"a,b\n", b"1,2\n", b"")


async def test_a_file_that_breaks_off_does_not_look_complete(library: Library, peer: Connection) -> None:
    async def stream(_: Any) -> AsyncIterator[Any]:
        yield HttpBody(content_type="text/csv", data=b"a,b\n")
        raise ValueError

    library.behaviours["StreamFile"] = stream
    await get(peer, "/v1/stream/a")
    assert await chunk(peer) == b"a,b\n"
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await chunk(peer)


def upload(target: str, *parts: bytes, end: bool = True) -> bytes:
    head = f"POST {target} HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return head.encode() + chunks + (b"0\r\n\r\n" if end else b"")


async def test_a_file_is_passed_on_in_parts(library: Library, peer: Connection) -> None:
    library.behaviours["ReceiveFile"] = lambda _: message("FileInfo")(path="done", size=5)
    await peer.send(upload("/v1/received/a?comment=c", b"one", b"two", end=False))
    async with asyncio.timeout(PATIENCE):
        while b"".join(part.file.data for _, part in library.requests) != b"onetwo":
            await asyncio.sleep(0.01)
    first = library.requests[0][1]
    assert (first.path, first.comment, first.file.content_type) == ("a", "c", "image/png")
    assert all(part.path == part.file.content_type == "" for _, part in library.requests[1:])
    await peer.send(b"0\r\n\r\n")
    status, _, answer = await peer.answer()
    assert (status, json.loads(answer)) == (200, {"path": "done", "contentType": "", "size": 5})


async def test_an_empty_file_is_one_message(library: Library, peer: Connection) -> None:
    await peer.send(upload("/v1/received/a"))
    assert (await peer.answer())[0] == 200
    assert [(part.path, part.file.data) for _, part in library.requests] == [("a", b"")]


async def test_a_file_that_is_too_large_is_refused(library: Library, peer: Connection) -> None:
    head = f"POST /v1/received/a HTTP/1.1\r\nhost: x\r\ncontent-type: a/b\r\ncontent-length: {10**12}\r\n\r\n"
    await peer.send(head.encode())
    assert (await peer.head())[0] == 413
    assert library.requests == []


async def test_a_refusal_ends_an_upload_midway(library: Library, peer: Connection) -> None:
    def refuse(_: Any) -> Any:
        raise DomainError("INVALID_REQUEST", "no such file")

    library.behaviours["ReceiveFile"] = refuse
    await peer.send(upload("/v1/received/a", b"one"))
    assert (await peer.head())[0] in (400, 500)


async def test_a_client_that_leaves_ends_an_upload(library: Library, peer: Connection) -> None:
    await peer.send(upload("/v1/received/a", b"one", end=False))
    async with asyncio.timeout(PATIENCE):
        while not library.requests:
            await asyncio.sleep(0.01)
        peer.writer.transport.abort()
        await library.ended.wait()
