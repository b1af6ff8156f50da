"""The server span of a request to an adopted application, by OpenTelemetry's conventions for HTTP.

The application gets the span as `traceparent`: libraries of its own that read the header go on under it. Whoever is
not the gateway has no say in what is recorded. Queries are not recorded.
"""

from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from typing import Any

from souk.hosting.adopted.application import Message, Send
from souk.telemetry.traces import child_of
from souk.telemetry.tracing.span import AttributeValue, Span, SpanKind
from souk.telemetry.tracing.tracer import Tracer

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER, _HEADER = "_OTHER", b"traceparent"
_LONGEST_PATH = 200
_SERVER_ERROR = 500
_SWITCHED = 101


class AdoptedSpan(AbstractContextManager["AdoptedSpan"]):
    """Records the block as the handling of a request, or of a WebSocket until it ends. `by_gateway` says who asks."""

    def __init__(self, tracer: Tracer, scope: MutableMapping[str, Any], *, by_gateway: bool) -> None:
        self._scope = scope
        parent = next((value for name, value in scope["headers"] if name == _HEADER), b"").decode("latin-1")
        method = scope.get("method", "GET")
        method = method if method in _METHODS else _OTHER
        attributes: dict[str, AttributeValue] = {
            "http.request.method": method,
            "url.path": scope["path"][:_LONGEST_PATH],
            "url.scheme": scope.get("scheme", "http"),
        }
        if by_gateway:
            self._span = tracer.start(method, SpanKind.SERVER, parent, attributes)
        else:
            here = child_of(parent)
            self._span = tracer.start_at_edge(method, SpanKind.SERVER, here, parent, attributes, trusted=False)
        self._span.streaming = scope["type"] == "websocket"
        self._status = 0

    @property
    def span(self) -> Span:
        """The span of the request."""
        return self._span

    def shown(self) -> list[tuple[bytes, bytes]]:
        """Returns the headers of the request for the application, with this span in place of its parent."""
        kept = [pair for pair in self._scope["headers"] if pair[0] != _HEADER]
        return [*kept, (_HEADER, self._span.traceparent.encode())]

    def watched(self, send: Send) -> Send:
        """Returns what sends the answer, and notes its status."""

        async def watching(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._status = message["status"]
            elif message["type"] == "websocket.accept":
                self._status = _SWITCHED
            await send(message)

        return watching

    def __enter__(self) -> "AdoptedSpan":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        span, status = self._span, self._status
        path = getattr(self._scope.get("route"), "path", "")
        if isinstance(path, str) and path:  # as Starlette and FastAPI note it
            span.attributes["http.route"] = path
            span.name = f"{span.name} {path}"
        if status:
            span.attributes["http.response.status_code"] = status
        if kind is not None:
            cancelled = not issubclass(kind, Exception)
            span.end("cancelled" if cancelled else kind.__name__, expected=cancelled)
        else:
            span.end(str(status) if status >= _SERVER_ERROR else "")
