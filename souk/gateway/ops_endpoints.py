"""The endpoints that the gateway itself answers: health, metrics, and the documents of the API and the events."""

from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import Any

from prometheus_client import CollectorRegistry

from souk.descriptors.protojson.writer import dumps
from souk.gateway.docs.events_page import events_page_of
from souk.gateway.docs.page import page_of
from souk.gateway.docs.settings import DocsSettings
from souk.gateway.http.answers import JSON, HttpAnswer
from souk.gateway.http.problem import Problem
from souk.gateway.http.request import Request
from souk.kernel.clock import to_datetime
from souk.telemetry.health import Health
from souk.telemetry.metrics import negotiated

Ready = Callable[[], Awaitable[bool]]
Document = Callable[[], dict[str, Any]]

VERBOSE = b"verbose"
_FRESH = (b"cache-control", b"no-cache")


class Meta:
    """The endpoints that call no method of a service."""

    def __init__(
        self,
        ready: Ready,
        registry: CollectorRegistry,
        document: Document,
        event_document: Document,
        health: Health,
        docs: DocsSettings,
    ) -> None:
        self._ready, self._registry, self._health, self._docs = ready, registry, health, docs
        self._document, self._event_document = document, event_document

    def describe(self, document: Document) -> None:
        """Serves another OpenAPI document from now on."""
        self._document = document
        for made in ("_openapi", "_page"):
            self.__dict__.pop(made, None)

    async def root(self, request: Request, captures: Sequence[str | None]) -> HttpAnswer:
        """Redirects a browser to the page, and gives programs the paths of the page and the OpenAPI document."""
        if "text/html" in request.header(b"accept"):
            return HttpAnswer(303, [(b"location", b"/docs"), (b"vary", b"accept"), _FRESH])
        return HttpAnswer(200, [JSON, (b"vary", b"accept"), _FRESH], b'{"docs":"/docs","openapi":"/openapi.json"}')

    async def healthz(self, request: Request, captures: Sequence[str | None]) -> HttpAnswer:
        """Answers that the process runs."""
        return HttpAnswer(200, [JSON, _FRESH], b'{"status":"ok"}')

    async def readyz(self, request: Request, captures: Sequence[str | None]) -> HttpAnswer:
        """Answers whether this process takes requests; with `?verbose` also the state of each check, and since when."""
        ready = await self._ready()
        if VERBOSE in request.query.split(b"&"):
            return HttpAnswer(200 if ready else 503, [JSON, _FRESH], dumps(self._in_full(ready)))
        if not ready:
            raise Problem(503, "NOT_READY", "the system is starting or stopping, or a service it needs is unavailable")
        return HttpAnswer(200, [JSON, _FRESH], b'{"status":"ready"}')

    def _in_full(self, ready: bool) -> dict[str, Any]:
        """Leaves out the details of a check: they may name hosts and paths, and anyone may ask."""
        checks = [
            {"name": one.name, "state": "ok" if one.well else "failing", "since": _rfc3339(one.since)}
            for one in self._health.checks()
        ]
        return {"status": "ready" if ready else "not ready", "checks": checks}

    async def metrics(self, request: Request, captures: Sequence[str | None]) -> HttpAnswer:
        """Answers with the metrics in Prometheus' text format, or OpenMetrics, which has exemplars."""
        kind, body = negotiated(self._registry, request.header(b"accept"))
        return HttpAnswer(200, [(b"content-type", kind.encode()), (b"vary", b"accept"), _FRESH], body)

    async def openapi(self, request: Request, captures: Sequence[str | None]) -> HttpAnswer:
        """Answers with the OpenAPI 3.1 document."""
        return HttpAnswer(200, [JSON, _FRESH], self._openapi)

    async def docs(self, request: Request, captures: Sequence[str | None]) -> HttpAnswer:
        """Answers with the OpenAPI document as a page for people."""
        body, headers = self._page
        return HttpAnswer(200, [*headers, _FRESH], body)

    async def asyncapi(self, request: Request, captures: Sequence[str | None]) -> HttpAnswer:
        """Answers with the AsyncAPI 3.0 document."""
        return HttpAnswer(200, [JSON, _FRESH], self._asyncapi)

    async def events(self, request: Request, captures: Sequence[str | None]) -> HttpAnswer:
        """Answers with the AsyncAPI document as a page for people."""
        body, headers = self._events_page
        return HttpAnswer(200, [*headers, _FRESH], body)

    @cached_property
    def _asyncapi(self) -> bytes:
        return dumps(self._event_document())

    @cached_property
    def _events_page(self) -> tuple[bytes, Sequence[tuple[bytes, bytes]]]:
        return events_page_of(self._event_document())

    @cached_property
    def _openapi(self) -> bytes:
        return dumps(self._document())

    @cached_property
    def _page(self) -> tuple[bytes, Sequence[tuple[bytes, bytes]]]:
        return page_of(self._document(), self._docs)


def _rfc3339(microseconds: int) -> str:
    return to_datetime(microseconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")
