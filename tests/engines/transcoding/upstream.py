"""The library as a plain gRPC server: it keeps the messages that it was sent, and answers each in one way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status.rpc_status import to_status

from souk.descriptors.contract import Method, contract_of
from tests.library import LIBRARY, PACKAGE, message

_CODES = {code.value[0]: code for code in grpc.StatusCode}
CONTRACT = contract_of(LIBRARY)


@dataclass
class Upstream:
    """The server's port, and the messages since `taken` was last called."""

    port: int = 0
    received: list[Message] = field(default_factory=list)

    def taken(self) -> list[Message]:
        """Returns what was received since the last time."""
        taken, self.received = self.received, []
        return taken

    async def unary(self, method: Method, request: Any, context: Any) -> Message:
        self.received.append(request)
        name = getattr(request, "name", "").rpartition("/")[2]
        if name == "missing":
            await context.abort_with_status(to_status(_no_such_book()))
        if name.startswith("code-"):
            await context.abort(_CODES[int(name.removeprefix("code-"))], "as it was asked")
        return _reply(method, request)

    async def streaming(self, request: Any, context: Any) -> AsyncIterator[Message]:
        self.received.append(request)
        if hasattr(request, "path"):
            for part in (b"first ", b"second"):
                yield HttpBody(content_type="text/plain", data=part)
            return
        for number in range(request.page_size):
            yield _book(f"{request.parent}/books/{number}")
        if request.page_token == "fail":
            await context.abort_with_status(to_status(_no_such_book()))

    async def receiving(self, requests: AsyncIterator[Any], context: Any) -> Message:
        whole = None
        async for part in requests:
            if whole is None:
                whole = part
            else:
                whole.file.data += part.file.data
        self.received.append(whole)
        return message("FileInfo")(path=whole.path, content_type=whole.file.content_type, size=len(whole.file.data))


def _no_such_book() -> Status:
    detail = AnyMessage()
    detail.Pack(ErrorInfo(reason="NO_SUCH_BOOK", domain="library"))
    return Status(code=5, message="this book does not exist", details=[detail])


def _book(name: str) -> Any:
    return message("Book")(name=name, title="Über das Übersetzen", pages=0, author={"home_town": "Köln"}, tags=["a"])


def _reply(method: Method, request: Any) -> Message:
    match method.name:
        case "Echo" | "MirrorFile":
            return request
        case "CreateBook" | "UpdateBook":
            return request.book
        case "DeleteBook":
            return Empty()
        case "ListBooks":
            return method.output(books=[_book("b1")], total=2**40, first=_book("b1"), counts={"a": 1})
        case "StatFile":
            return method.output(path=request.path, size=7)
        case "SaveFile":
            return method.output(path=request.path, content_type=request.file.content_type, size=len(request.file.data))
        case "ReadFile":
            return method.output(file={"content_type": "text/csv", "data": b"a,b\n"}, etag="e")
        case _:
            return _book(request.name)


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """Runs the server inside the block."""
    running, handlers = Upstream(), {}
    for method in CONTRACT.methods.values():
        codec = {
            "request_deserializer": method.input.FromString,
            "response_serializer": method.output.SerializeToString,
        }
        if method.client_streaming:
            handlers[method.name] = grpc.stream_unary_rpc_method_handler(running.receiving, **codec)
        elif method.server_streaming:
            handlers[method.name] = grpc.unary_stream_rpc_method_handler(running.streaming, **codec)
        else:
            handlers[method.name] = grpc.unary_unary_rpc_method_handler(_bound(running, method), **codec)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"{PACKAGE}.Library", handlers),))
    running.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield running
    finally:
        await server.stop(0)


def _bound(running: Upstream, method: Method) -> Any:
    async def handle(request: Any, context: Any) -> Message:
        return await running.unary(method, request, context)

    return handle
