"""The server span of a request to the gateway, by OpenTelemetry's conventions for HTTP.

The query is not recorded: it may hold what is private. A path is that of its route where one matched.
"""

from contextlib import AbstractContextManager

from souk.gateway.http.request import Request
from souk.gateway.log import CLIENT_GONE, LONGEST_PATH, METHODS
from souk.telemetry.tracing.span import Span, SpanKind
from souk.telemetry.tracing.tracer import Tracer
from souk.telemetry.tracing.work import UNTRACED

_OTHER = "_OTHER"
"""Stands for a method that is not known, as the conventions demand."""


class RequestSpan(AbstractContextManager[Span | None]):
    """Records the block as the handling of a request, whose trace the span becomes."""

    __slots__ = ("_request", "_span")

    def __init__(self, tracer: Tracer, request: Request) -> None:
        method = request.method if request.method in METHODS else _OTHER
        self._request = request
        self._span = span = tracer.start(method, SpanKind.SERVER, request.header(b"traceparent"))
        span.attributes["http.request.method"] = method
        request.under(span)

    def __enter__(self) -> Span:
        return self._span

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        request, span, attributes = self._request, self._span, self._span.attributes
        status = CLIENT_GONE if kind is not None and not request.status else request.status
        if span.processor is not None:
            attributes["url.path"] = request.path[:LONGEST_PATH]
            attributes["url.scheme"] = request.scheme
            attributes["client.address"] = request.client
            attributes["network.protocol.version"] = str(request.scope.get("http_version", ""))
            attributes["souk.request_id"] = request.request_id
            if request.route:
                attributes["http.route"] = request.route
                span.name = f"{span.name} {request.route}"
        if status == CLIENT_GONE:
            span.end("client_gone", expected=True)
            return
        attributes["http.response.status_code"] = status
        span.end(str(status) if status >= 500 else "")


def traced(tracer: Tracer | None, request: Request) -> AbstractContextManager[Span | None]:
    """Gives the block in which a request is handled: recorded if there is a tracer."""
    return UNTRACED if tracer is None else RequestSpan(tracer, request)
