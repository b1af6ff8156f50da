"""Server spans: one for each call that a handler gets, by OpenTelemetry's conventions for RPC."""

from typing import Any

import grpc

from souk.descriptors.contract import Method
from souk.kernel.context import CallContext
from souk.telemetry.tracing.calling import GRPC, REFUSAL, STATUS, spans_of
from souk.telemetry.tracing.span import SpanKind, UnrecordedSpan
from souk.telemetry.tracing.tracer import Tracer

_Code = grpc.StatusCode
_SERVER_FAILED = frozenset(
    {_Code.UNKNOWN, _Code.DEADLINE_EXCEEDED, _Code.UNIMPLEMENTED, _Code.INTERNAL, _Code.UNAVAILABLE, _Code.DATA_LOSS}
)
"""Codes that are errors of the callee; others are answers."""


class ServerSpan:
    """Records the block as the handling of a call, and gives the call's context with the span as its trace."""

    __slots__ = ("_call", "_context", "_known", "_span")

    def __init__(self, tracer: Tracer, method: Method, call: CallContext, context: Any) -> None:
        self._known = known = spans_of(method.full_name, getattr(context, "system", GRPC))
        self._span = span = tracer.start(known.name, SpanKind.SERVER, call.traceparent, None, (), known.begun)
        if not method.unary:
            span.streaming = True
        if call.tracestate:
            span.tracestate = call.tracestate
        self._context = context
        self._call = call if type(span) is UnrecordedSpan else call.under(span.traceparent)

    def __enter__(self) -> CallContext:
        return self._call

    def refused(self, reason: str) -> None:
        """Notes why the call is refused."""
        self._span.attributes[REFUSAL] = reason

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        code, span = self._context.code(), self._span
        if code is None and kind is None:
            span.end_sharing(self._known.answered)
            return
        if kind is not None and not issubclass(kind, grpc.aio.AbortError):  # the handler was cancelled
            code = _Code.CANCELLED
        span.attributes[STATUS] = "OK" if code is None else code.name
        span.end(code.name if code in _SERVER_FAILED else "")
