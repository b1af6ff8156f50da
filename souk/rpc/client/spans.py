"""Client spans: one for each try of a call, by OpenTelemetry's conventions for RPC.

`souk.resend_count` counts the tries before it. A refusal that the contract lists is an error of the span, as the
conventions have it, but no reason to keep a trace that was not sampled.
"""

import asyncio
from typing import Protocol

from souk.kernel.context import current
from souk.kernel.errors import Outcome
from souk.rpc.call import Call, CallFailed, Invoke, Layer, Reply
from souk.rpc.metadata import TRACEPARENT, first
from souk.rpc.transport import Stream
from souk.telemetry.tracing.calling import REFUSAL, STATUS, spans_of
from souk.telemetry.tracing.span import Span, SpanKind, UnrecordedSpan
from souk.telemetry.tracing.tracer import Tracer

RETRIED = "retried"
"""Why a trace is kept in which a call was sent again."""


class BeginStream(Protocol):
    """Begins a call with a stream in it."""

    def __call__(self, call: Call, *, one_request: bool) -> Stream: ...


def with_client_spans(tracer: Tracer, system: str) -> Layer:
    """Records each try, and passes its span on as the callee's parent. `system` is what carries the call; a transport
    that carries it otherwise says so in the span."""

    def layer(inner: Invoke) -> Invoke:
        async def invoke(call: Call) -> Reply:
            span = client_span(tracer, call, system)
            try:
                reply = await inner(_under(call, span))
            except CallFailed as error:
                _failed(span, error)
                raise
            except asyncio.CancelledError:
                span.end("cancelled", expected=True)
                raise
            span.end_sharing(spans_of(call.method.full_name, system).answered)
            return reply

        return invoke

    return layer


def client_span(tracer: Tracer, call: Call, system: str) -> Span:
    """Begins the span of a try."""
    name, begun, _ = spans_of(call.method.full_name, system)
    span = tracer.start(name, SpanKind.CLIENT, first(call.metadata, TRACEPARENT), None, (), begun)
    if state := current().tracestate:
        span.tracestate = state
    if call.resends:
        span.attributes["souk.resend_count"] = call.resends
        span.reason = RETRIED
    return span


def traced_stream(tracer: Tracer, system: str, begin: BeginStream, call: Call, *, one_request: bool) -> Stream:
    """Begins a call with a stream in it, and records it until it is over."""
    span = client_span(tracer, call, system)
    span.streaming = True
    stream = begin(_under(call, span), one_request=one_request)

    def over() -> None:
        status = stream.ended()
        code = "UNKNOWN" if status is None else status.code.name
        span.attributes[STATUS] = code
        span.end("" if code == "OK" else code, expected=code == "CANCELLED")

    stream.add_done_callback(over)
    return stream


def _under(call: Call, span: Span) -> Call:
    if type(span) is UnrecordedSpan:
        return call  # its parent is named already
    metadata, own = call.metadata, (TRACEPARENT, span.traceparent)
    if metadata and metadata[0][0] == TRACEPARENT:  # as a channel writes it
        others = metadata[1:]
    else:
        others = tuple(pair for pair in metadata if pair[0] != TRACEPARENT)
    # `_replace` would take five times as long, for each call
    return Call(call.method, call.request, (own, *others), *call[3:-1], span)


def _failed(span: Span, error: CallFailed) -> None:
    code = error.code().name
    span.attributes[STATUS] = code
    if error.reason:
        span.attributes[REFUSAL] = error.reason
    span.end(code, expected=error.outcome is Outcome.REFUSED)
