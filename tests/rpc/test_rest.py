"""Calls by contract to services that speak plain REST, over loopback: one of ours, a foreign one, and broken ones."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody

from souk.descriptors.contract import contract_of
from souk.kernel.context import CallContext, use
from souk.kernel.errors import Outcome
from souk.rpc.call import CallFailed
from souk.rpc.rest.transport import rest_channel
from souk.runtime.process.http import server as http_server
from souk.runtime.process.http.server import serving
from tests.gateway.transcoding.conftest import Library, library  # noqa: F401  # a fixture
from tests.library import LIBRARY, message

Everything = message("Everything")
METHODS = contract_of(LIBRARY).methods
PATH = "/souktest.library.v1.Library"


@dataclass
class Foreign:
    """A plain ASGI application that records its requests and answers as a test says."""

    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: Any = b"{}"
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    connections: list[int] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        target = scope["raw_path"].decode() + (f"?{scope['query_string'].decode()}" if scope["query_string"] else "")
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.connections.append(scope["client"][1])
        self.asked.append((scope["method"], target, headers, body))
        await self.answers.wait()
        sent = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        start = {"type": "http.response.start", "status": self.status, "headers": self.headers}
        await send({**start, "headers": [*self.headers, (b"content-length", b"%d" % len(sent))]})
        await send({"type": "http.response.body", "body": sent})


@asynccontextmanager
async def calling(application: Any) -> AsyncIterator[Callable[..., Any]]:
    """Serves an application; gives a function that calls a method of the library's contract there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with serving(application, listener, 1.0):
            channel = rest_channel(f"http://127.0.0.1:{listener.getsockname()[1]}", {"x-api-key": "k"})

            async def call(name: str, request: Any, timeout: float = 60.0) -> Any:
                output = METHODS[f"{PATH}/{name}"].output
                stub = channel.unary_unary(f"{PATH}/{name}", type(request).SerializeToString, output.FromString)
                return await stub(request, timeout=timeout)

            yield call


@pytest.fixture(autouse=True)
def servers_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a server that a test ends not wait for clients that do not know it yet: there are none."""
    monkeypatch.setattr(http_server, "LAST_CALLS", 0.0)


@pytest.fixture
def foreign() -> Foreign:
    made = Foreign()
    made.answers.set()
    return made


@pytest.mark.parametrize(
    ("name", "request_", "verb", "target", "body"),
    [
        ("GetBook", {"name": "shelves/a b/books/c%"}, "GET", "/v1/shelves/a%20b/books/c%25", None),
        ("ListBooks", {"parent": "shelves/s", "page_size": 3, "filter": {"tags": ["x&y", "é"], "colour": 1}}, "GET",
         "/v1/shelves/s/books?pageSize=3&filter.tags=x%26y&filter.tags=%C3%A9&filter.colour=RED", None),
        ("CreateBook", {"parent": "shelves/s", "book_id": "i", "book": {"name": "n"}}, "POST",
         "/v1/shelves/s/books?bookId=i", {"name": "n", "title": "", "tags": []}),
        ("UpdateBook",
         {"book": {"name": "shelves/s/books/b", "title": "t"}, "update_mask": {"paths": ["title", "a.b_c"]}},
         "PATCH", "/v1/shelves/s/books/b?updateMask=title%2Ca.bC", {"title": "t", "tags": []}),
        ("DeleteBook", {"name": "shelves/s/books/b"}, "DELETE", "/v1/shelves/s/books/b", None),
        ("ArchiveBook", {"name": "shelves/s/books/b", "view": "v"}, "POST", "/v1/shelves/s/books/b:archive",
         {"view": "v"}),
        ("StatFile", {"path": "a/b c"}, "GET", "/v1/files/a/b%20c", None),
        ("SaveFile", {"path": "p", "comment": "c", "file": {"content_type": "a/b", "data": b"\xff"}}, "POST",
         "/v1/saved/p?comment=c", b"\xff"),
    ],
)  # fmt: skip
async def test_a_request_follows_the_rule(
    foreign: Foreign, name: str, request_: dict[str, Any], verb: str, target: str, body: Any
) -> None:
    async with calling(foreign) as call:
        await call(name, METHODS[f"{PATH}/{name}"].input(**request_))
    asked_verb, asked_target, headers, sent = foreign.asked[0]
    assert (asked_verb, asked_target) == (verb, target)
    assert (sent if isinstance(body, bytes) else json.loads(sent) if sent else None) == body
    assert headers["x-api-key"] == "k"
    assert headers.get("content-type") == (
        None if body is None else "a/b" if name == "SaveFile" else "application/json"
    )


async def test_our_own_gateway_is_called_as_a_service(library: Library) -> None:  # noqa: F811
    sent = Everything(
        a_string="x", an_int64=2**53 - 1, colour=2, colours=[1, 0], nested={"some_bytes": b"\xff"}, counts={"a": 1},
        a_time={"seconds": 1}, a_struct={"a": [1, None]}, a_wrapped_int64={"value": 5}, either="e", bracketed="b",
    )  # fmt: skip
    async with calling(library.gateway) as call:
        assert await call("Echo", sent) == sent
        assert library.asked == sent
        mirrored = await call("MirrorFile", HttpBody(content_type="image/png", data=b"\x00\xff"))
        assert (mirrored.content_type, mirrored.data) == ("image/png", b"\x00\xff")
        library.behaviours["ReadFile"] = lambda _: message("ReadFileResponse")(file={"data": b"x"})
        read = await call("ReadFile", message("FileRequest")(path="a"))
        assert read.SerializeToString()  # by its first rule, which names the part of the answer
        await call("DeleteBook", message("GetBookRequest")(name="shelves/s/books/b"))


async def test_a_foreign_answer_is_read_tolerantly(foreign: Foreign) -> None:
    foreign.body = {
        "aString": None, "anInt64": "9007199254740993", "anInt32": 5, "colour": "RED", "colours": ["COLOUR_GREEN", 1],
        "nested": {"colour": "GREEN", "unknown": {}}, "unknown": [1], "byNumber": {"1": {"colour": "RED"}},
    }  # fmt: skip
    async with calling(foreign) as call:
        reply = await call("Echo", Everything())
    assert reply == Everything(
        an_int64=9007199254740993, an_int32=5, colour=1, colours=[2, 1], nested={"colour": 2},
        by_number={1: Everything(colour=1)},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "code", "reason"),
    [
        (404, {"code": "NO_SUCH_BOOK", "detail": "gone"}, grpc.StatusCode.NOT_FOUND, "NO_SUCH_BOOK"),
        (409, {"code": "NO_SUCH_BOOK", "detail": "gone"}, grpc.StatusCode.NOT_FOUND, "NO_SUCH_BOOK"),
        (404, {"detail": "Not Found"}, grpc.StatusCode.NOT_FOUND, "NO_SUCH_BOOK"),
        (404, {"code": "ROUTE_NOT_FOUND"}, grpc.StatusCode.NOT_FOUND, ""),
        (400, {"code": "INVALID_REQUEST", "errors": [{"field": "name", "detail": "is bad"}]},
         grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
        (401, b"", grpc.StatusCode.UNAUTHENTICATED, ""),
        (418, b"<html>", grpc.StatusCode.FAILED_PRECONDITION, ""),
        (429, b"[]", grpc.StatusCode.RESOURCE_EXHAUSTED, ""),
        (500, b"[" * 100_000, grpc.StatusCode.INTERNAL, ""),
        (503, {"code": 1, "detail": None}, grpc.StatusCode.UNAVAILABLE, ""),
        (302, b"", grpc.StatusCode.UNKNOWN, ""),
    ],
)  # fmt: skip
async def test_a_failure_is_the_reason_or_the_code_of_its_status(
    foreign: Foreign, status: int, body: Any, code: grpc.StatusCode, reason: str
) -> None:
    foreign.status, foreign.body = status, body
    async with calling(foreign) as call:
        with pytest.raises(CallFailed) as failed:
            await call("GetBook", message("GetBookRequest")(name="shelves/s/books/b"))
    assert (failed.value.code(), failed.value.reason) == (code, reason)
    assert failed.value.outcome is (Outcome.REFUSED if reason else Outcome.UNKNOWN)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"pages":"x"}', b'{"tags":1}', b"\xff", b"[" * 100_000])
async def test_an_answer_that_is_no_reply_is_a_failure(foreign: Foreign, body: bytes) -> None:
    foreign.body = body
    async with calling(foreign) as call:
        request = message("GetBookRequest")(name="shelves/s/books/b")
        if body == b"":
            assert await call("GetBook", request) == message("Book")()
            return
        with pytest.raises(CallFailed) as failed:
            await call("GetBook", request)
    assert (failed.value.code(), failed.value.outcome) == (grpc.StatusCode.INTERNAL, Outcome.UNKNOWN)


async def test_what_the_path_cannot_hold_is_not_sent(foreign: Foreign) -> None:
    async with calling(foreign) as call:
        for request in (message("GetBookRequest")(name="books/1"), message("GetBookRequest")()):
            with pytest.raises(CallFailed) as failed:
                await call("GetBook", request)
            assert failed.value.outcome is Outcome.NOT_SENT
    assert foreign.asked == []


async def test_a_deadline_and_a_cancellation_end_the_call(foreign: Foreign) -> None:
    foreign.answers.clear()
    request = message("GetBookRequest")(name="shelves/s/books/b")
    async with calling(foreign) as call:
        with pytest.raises(CallFailed) as failed:
            await call("GetBook", request, timeout=0.2)
        assert (failed.value.code(), failed.value.outcome) == (grpc.StatusCode.DEADLINE_EXCEEDED, Outcome.UNKNOWN)
        task = asyncio.ensure_future(call("GetBook", request))
        while len(foreign.asked) < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        foreign.answers.set()
        assert await call("GetBook", request) == message("Book")()  # no answer of an earlier call is taken for this one


async def test_only_what_may_be_repeated_goes_over_a_kept_connection(foreign: Foreign) -> None:
    book = message("GetBookRequest")(name="shelves/s/books/b")
    async with calling(foreign) as call:
        for _ in range(2):
            await call("GetBook", book)
        for _ in range(2):
            await call("Echo", Everything())
    first, second, third, fourth = foreign.connections
    assert first == second
    assert len({first, third, fourth}) == 3


async def test_nobody_listening_is_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    stub = rest_channel(f"http://127.0.0.1:{port}").unary_unary(f"{PATH}/GetBook", bytes, bytes)
    with pytest.raises(CallFailed) as failed:
        await stub(message("GetBookRequest")(name="shelves/s/books/b").SerializeToString(), timeout=60)
    assert (failed.value.code(), failed.value.outcome) == (grpc.StatusCode.UNAVAILABLE, Outcome.NOT_SENT)


async def test_key_and_trace_go_with_the_call(foreign: Foreign) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with calling(foreign) as call:
        with use(CallContext(traceparent=trace, idempotency_key="key-1")):
            await call("Echo", Everything())
    headers = foreign.asked[0][2]
    assert headers["traceparent"].split("-")[1] == trace.split("-")[1]
    assert headers.get("idempotency-key", "key-1") == "key-1"


async def test_a_stream_is_refused() -> None:
    stub = rest_channel("http://127.0.0.1:1").unary_stream(f"{PATH}/WatchBooks", bytes, bytes)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub(b"", timeout=60).read()
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED
