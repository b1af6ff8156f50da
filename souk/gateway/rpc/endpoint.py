"""The endpoint of one method for clients of Connect, gRPC and gRPC-Web; the path is gRPC's own.

The content type tells the protocol:

| content type | protocol |
|---|---|
| `application/json`, `application/proto` | Connect, one message each way; GET where the method only reads |
| `application/connect+json`, `+proto` | Connect with a stream |
| `application/grpc`, `+proto`, `+json` | gRPC, over HTTP/2 |
| `application/grpc-web`, `-text`, `+proto`, `+json` | gRPC-Web |
"""

from collections.abc import Sequence

from souk.gateway.http.answers import Answer
from souk.gateway.http.problem import Problem
from souk.gateway.http.request import Request
from souk.gateway.rpc.codecs import CODECS
from souk.gateway.rpc.connect import ConnectGet, ConnectStream, ConnectUnary
from souk.gateway.rpc.grpc import Grpc, GrpcWeb
from souk.gateway.rpc.metadata import passed_on
from souk.gateway.rpc.public_calls import PublicCalls, Requests, RpcMethod
from souk.gateway.rpc.statuses import status_of
from souk.gateway.rpc.wire import Wire
from souk.gateway.settings import GatewaySettings
from souk.telemetry.tracing.calling import CONNECT, GRPC, spans_of

_CONNECT, _STREAM = "application/", "application/connect+"
_GRPC, _WEB, _TEXT = "application/grpc", "-web", "-text"


class RpcEndpoint:
    """Answers the calls of one method. A message may be as large as a body."""

    def __init__(self, rpc: RpcMethod, calls: PublicCalls, settings: GatewaySettings) -> None:
        self._rpc, self._method, self._calls, self._limit = rpc, rpc.method, calls, settings.max_body

    async def __call__(self, request: Request, _: Sequence[str | None]) -> Answer:
        wire = self._wire(request)
        if request.span is not None:
            system = GRPC if isinstance(wire, Grpc | GrpcWeb) else CONNECT
            request.span.attributes.update(spans_of(self._method.full_name, system).begun)
        try:
            metadata = passed_on(request.scope["headers"])
            asked = await self._calls.admitted(self._rpc, request, wire.timeout(), metadata)
        except Problem as problem:
            request.refusal = problem
            return wire.refusal(status_of(problem))
        requests = Requests(wire.messages(self._method, self._limit))
        return await wire.answer(self._calls.relayed(asked, requests))

    def _wire(self, request: Request) -> Wire:
        headers = dict(request.scope["headers"])
        kind = request.header(b"content-type").lower().partition(";")[0].strip()
        if request.method in ("GET", "HEAD"):
            return ConnectGet(request, headers)
        if kind.startswith(_GRPC):
            return self._grpc(request, headers, kind)
        streamed = kind.startswith(_STREAM)
        codec = CODECS.get(kind.removeprefix(_STREAM if streamed else _CONNECT))
        if codec is None or streamed == self._method.unary:
            raise self._unsupported()
        return ConnectStream(request, headers, codec) if streamed else ConnectUnary(request, headers, codec)

    def _grpc(self, request: Request, headers: dict[bytes, bytes], kind: str) -> Wire:
        rest = kind.removeprefix(_GRPC)
        web, rest = rest.startswith(_WEB), rest.removeprefix(_WEB)
        text, rest = web and rest.startswith(_TEXT), rest.removeprefix(_TEXT) if web else rest
        codec = CODECS["proto"] if not rest else CODECS.get(rest.removeprefix("+")) if rest[0] == "+" else None
        if codec is None:
            raise self._unsupported()
        if web:
            return GrpcWeb(request, headers, codec, kind, text=text)
        if not request.takes_trailers:
            raise Problem(505, "HTTP_VERSION_NOT_SUPPORTED", "gRPC needs HTTP/2; gRPC-Web and Connect do not")
        return Grpc(request, headers, codec, kind)

    def _unsupported(self) -> Problem:
        first = _CONNECT if self._method.unary else _STREAM
        kinds = [f"{before}{name}" for before in (first, f"{_GRPC}+", f"{_GRPC}{_WEB}+") for name in CODECS]
        return Problem(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            f"this method takes {', '.join(kinds)}",
            headers=((b"accept-post", ", ".join(kinds).encode()),),
        )
