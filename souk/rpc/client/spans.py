"""Client spans: one for each try of a call, by OpenTelemetry's conventions for RPC.

`souk.resend_count` counts the tries before it. A refusal that the contract lists is an error of the span, as the
conventions have it, but no reason to keep a trace that was not sampled.
"""

import asyncio
from typing import Protocol

from souk.kernel.errors import Outcome
from souk.rpc.call import Call, CallFailed, Invoke, Layer, Reply
from souk.rpc.metadata import TRACEPARENT, first
from souk.rpc.transport import Stream
from souk.telemetry.tracing.span import AttributeValue, Span, SpanKind
from souk.telemetry.tracing.tracer import Tracer

RETRIED = "retried"
"""Why a trace is kept in which a call was sent again."""


class BeginStream(Protocol):
    """Begins a call with a stream in it."""

    def __call__(self, call: Call, *, one_request: bool) -> Stream: ...


def with_client_spans(tracer: Tracer) -> Layer:
    """Records each try, and passes its span on as the callee's parent."""

    def layer(inner: Invoke) -> Invoke:
        async def invoke(call: Call) -> Reply:
            span = client_span(tracer, call)
            try:
                reply = await inner(_under(call, span))
            except CallFailed as error:
                _failed(span, error)
                raise
            except asyncio.CancelledError:
                span.end("cancelled", expected=True)
                raise
            span.attributes["rpc.response.status_code"] = "OK"
            span.end()
            return reply

        return invoke

    return layer


def client_span(tracer: Tracer, call: Call) -> Span:
    """Begins the span of a try."""
    name = call.method.full_name[1:]
    attributes: dict[str, AttributeValue] = {"rpc.system.name": "grpc", "rpc.method": name}
    span = tracer.start(name, SpanKind.CLIENT, first(call.metadata, TRACEPARENT), attributes)
    if call.resends:
        attributes["souk.resend_count"] = call.resends
        span.reason = RETRIED
    return span


def traced_stream(tracer: Tracer, begin: BeginStream, call: Call, *, one_request: bool) -> Stream:
    """Begins a call with a stream in it, and records it until it is over."""
    span = client_span(tracer, call)
    span.streaming = True
    stream = begin(_under(call, span), one_request=one_request)

    def over() -> None:
        status = stream.ended()
        code = "UNKNOWN" if status is None else status.code.name
        span.attributes["rpc.response.status_code"] = code
        span.end("" if code == "OK" else code, expected=code == "CANCELLED")

    stream.add_done_callback(over)
    return stream


def _under(call: Call, span: Span) -> Call:
    others = [pair for pair in call.metadata if pair[0] != TRACEPARENT]
    return call._replace(metadata=((TRACEPARENT, span.traceparent), *others), span=span)


def _failed(span: Span, error: CallFailed) -> None:
    code = error.code().name
    span.attributes["rpc.response.status_code"] = code
    if error.reason:
        span.attributes["souk.refusal"] = error.reason
    span.end(code, expected=error.outcome is Outcome.REFUSED)
