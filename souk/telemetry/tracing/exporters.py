"""OpenTelemetry's own exporters behind our port. All of it runs in an exporter's thread, never in a request's.

The packages are an extra, `souk-platform[otel]`: they are imported here alone, and only when they are asked for.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.telemetry.otel_variables import OTLP_GRPC, OTLP_HTTP
from souk.telemetry.tracing.settings import ZIPKIN
from souk.telemetry.tracing.span import Span

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource  # an optional extra
    from opentelemetry.sdk.trace import ReadableSpan

_CLASSES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        OTLP_GRPC: ("opentelemetry.exporter.otlp.proto.grpc.trace_exporter", "OTLPSpanExporter"),
        OTLP_HTTP: ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "OTLPSpanExporter"),
        ZIPKIN: ("opentelemetry.exporter.zipkin.json", "ZipkinExporter"),
    }
)
_NANOSECONDS = 1_000_000_000


class OfficialExporter:
    """Sends spans by one of OpenTelemetry's exporters, `kind`, which reads its own variables.

    `about` are attributes of every resource, beside its service's name. Raises ConfigurationError when the packages
    are missing, or a variable of the exporter is not as it must be.
    """

    def __init__(self, kind: str, clock: Clock, about: Mapping[str, str]) -> None:
        self._clock, self._about = clock, about
        self._by_service = kind == ZIPKIN  # its exporter gives a whole batch the service of the first span
        self._resources: dict[str, Resource] = {}
        module, name = _CLASSES[kind]
        try:
            self._sdk = import_module("opentelemetry.sdk.trace")
            self._api = import_module("opentelemetry.trace")
            self._resource = import_module("opentelemetry.sdk.resources").Resource
            scope = import_module("opentelemetry.sdk.util.instrumentation").InstrumentationScope
            self._scope = scope("souk", version("souk-platform"))  # Zipkin refuses spans without a version
            made: Any = getattr(import_module(module), name)
        except ImportError as error:
            raise ConfigurationError(
                f"the variables OTEL_* ask for traces, and their packages are not installed ({error.name}): "
                "pip install 'souk-platform[otel]'"
            ) from None
        try:
            self._exporter = made()
        except ValueError as error:
            raise ConfigurationError(
                f"the exporter {kind} cannot be used as the variables OTEL_* say: {error}"
            ) from None

    def export(self, spans: Sequence[Span]) -> bool:
        """Sends spans; returns whether they have arrived."""
        # Read for each batch: the date of the machine may have been set since the process started.
        offset = self._clock.now() * 1_000 - int(self._clock.monotonic() * _NANOSECONDS)
        arrived = True
        for batch in by_service(spans) if self._by_service else (spans,):
            result = self._exporter.export([self._readable(span, offset) for span in batch])
            arrived = arrived and result.name == "SUCCESS"
        return arrived

    def shutdown(self) -> None:
        """Gives up what is being tried."""
        self._exporter.shutdown()

    def _readable(self, span: Span, offset: int) -> "ReadableSpan":
        api = self._api
        trace_id = int(span.trace_id, 16)
        code = api.StatusCode.ERROR if span.error else api.StatusCode.UNSET
        parent = self._context(trace_id, span.parent_id, remote=span.kind in _FROM_OUTSIDE) if span.parent_id else None
        readable: ReadableSpan = self._sdk.ReadableSpan(
            name=span.name,
            context=self._context(trace_id, span.span_id, remote=False, state=span.tracestate),
            parent=parent,
            resource=self._resource_of(span.service),
            attributes=span.attributes,
            links=[self._link(one) for one in span.links],
            kind=tuple(api.SpanKind)[span.kind],
            instrumentation_scope=self._scope,
            status=api.Status(code),
            start_time=int(span.started * _NANOSECONDS) + offset,
            end_time=int(span.ended * _NANOSECONDS) + offset,
        )
        return readable

    def _context(self, trace_id: int, span_id: str, *, remote: bool, state: str = "") -> Any:
        api = self._api
        given = api.TraceState.from_header([state]) if state else None
        return api.SpanContext(trace_id, int(span_id, 16), remote, api.TraceFlags(api.TraceFlags.SAMPLED), given)

    def _link(self, traceparent: str) -> Any:
        return self._api.Link(self._context(int(traceparent[3:35], 16), traceparent[36:52], remote=True))

    def _resource_of(self, service: str) -> "Resource":
        found = self._resources.get(service)
        if found is None:
            made: Resource = self._resource.create({**self._about, "service.name": service})
            found = self._resources[service] = made
        return found


def by_service(spans: Sequence[Span]) -> Iterable[list[Span]]:
    """Divides spans by their services."""
    found: dict[str, list[Span]] = {}
    for one in spans:
        found.setdefault(one.service, []).append(one)
    return found.values()


_FROM_OUTSIDE = frozenset({1, 4})
"""The kinds of spans whose parent is usually another process's: SERVER and CONSUMER."""
