"""The server span of a request to the gateway, by OpenTelemetry's conventions for HTTP.

The query is not recorded: it may hold what is private. A path is that of its route where one matched.
"""

from contextlib import AbstractContextManager

from souk.gateway.http.problem import Problem
from souk.gateway.http.request import Request
from souk.gateway.log import CLIENT_GONE, LONGEST_PATH, METHODS
from souk.telemetry.tracing.calling import REFUSAL
from souk.telemetry.tracing.span import AttributeValue, Span, SpanKind
from souk.telemetry.tracing.tracer import Tracer

_OTHER = "_OTHER"
"""Stands for a method that is not known, as the conventions demand."""


class RequestSpan(AbstractContextManager[Span | None]):
    """Records the block as the handling of a request, whose trace the span becomes."""

    __slots__ = ("_request", "_span")

    def __init__(self, tracer: Tracer, request: Request) -> None:
        method = request.method if request.method in METHODS else _OTHER
        self._request = request
        parent = request.header(b"traceparent")
        attributes: dict[str, AttributeValue] = {"http.request.method": method}
        self._span = span = tracer.start_at_edge(
            method, SpanKind.SERVER, request.trace, parent, attributes, trusted=bool(parent) and request.from_proxy
        )
        span.tracestate = request.tracestate
        request.span, request.traceparent = span, span.traceparent

    def __enter__(self) -> Span:
        return self._span

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        request, span, attributes = self._request, self._span, self._span.attributes
        status = CLIENT_GONE if kind is not None and not request.status else request.status
        if span.processor is not None:
            attributes |= {
                "url.path": request.path[:LONGEST_PATH],
                "url.scheme": request.scheme,
                "client.address": request.client,
                "network.protocol.version": str(request.scope.get("http_version", "")),
                "souk.request_id": request.request_id,
            }
            if request.route:
                attributes["http.route"] = request.route
                span.name = f"{span.name} {request.route}"
            if request.refusal is not None:
                attributes |= _refusal(request, request.refusal)
        if status == CLIENT_GONE:
            span.end("client_gone", expected=True)
            return
        attributes["http.response.status_code"] = status
        span.end(str(status) if status >= 500 else "")


def _refusal(request: Request, problem: Problem) -> dict[str, AttributeValue]:
    """Says why a request was refused: the code that its client gets, and what the audit log and the limits know."""
    known = {REFUSAL: problem.code, "souk.refusal.check": problem.why, "souk.refusal.limit": request.limit}
    return {name: text for name, text in known.items() if text}
