"""Server spans: one for each call that a handler gets, by OpenTelemetry's conventions for RPC."""

from typing import Any

import grpc

from souk.descriptors.contract import Method
from souk.kernel.context import CallContext
from souk.telemetry.tracing.span import SpanKind
from souk.telemetry.tracing.tracer import Tracer

_Code = grpc.StatusCode
_SERVER_FAILED = frozenset(
    {_Code.UNKNOWN, _Code.DEADLINE_EXCEEDED, _Code.UNIMPLEMENTED, _Code.INTERNAL, _Code.UNAVAILABLE, _Code.DATA_LOSS}
)
"""Codes that are errors of the callee; others are answers."""


class ServerSpan:
    """Records the block as the handling of a call, and gives the call's context with the span as its trace."""

    __slots__ = ("_call", "_context", "_span")

    def __init__(self, tracer: Tracer, method: Method, call: CallContext, context: Any) -> None:
        name = method.full_name[1:]
        self._span = span = tracer.start(
            name, SpanKind.SERVER, call.traceparent, {"rpc.system.name": "grpc", "rpc.method": name}
        )
        span.streaming = not method.unary
        self._context = context
        self._call = call.under(span.traceparent)

    def __enter__(self) -> CallContext:
        return self._call

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        code = self._context.code()
        if kind is not None and not issubclass(kind, grpc.aio.AbortError):  # the handler was cancelled
            code = _Code.CANCELLED
        span = self._span
        span.attributes["rpc.response.status_code"] = "OK" if code is None else code.name
        span.end(code.name if code in _SERVER_FAILED else "")
