"""OpenTelemetry's own exporters of logs behind our port. All of it runs in the exporter's thread.

The packages are an extra, `souk-platform[otel]`: they are imported here alone, and only when they are asked for.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from souk.kernel.errors import ConfigurationError
from souk.telemetry.otel_variables import OTLP_GRPC, OTLP_HTTP

_MODULES: Mapping[str, str] = MappingProxyType(
    {
        OTLP_GRPC: "opentelemetry.exporter.otlp.proto.grpc._log_exporter",
        OTLP_HTTP: "opentelemetry.exporter.otlp.proto.http._log_exporter",
    }
)
_SEVERITIES: Mapping[str, int] = MappingProxyType({"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21})
_NAMES: Mapping[str, str] = MappingProxyType({"exception": "exception.stacktrace", "part": "souk.part"})
"""Fields that have a name of their own in OpenTelemetry's conventions."""
_OWN = frozenset({"event", "level", "timestamp", "trace_id", "span_id"})
"""Fields that are no attributes: the data model has a place for each."""
_PLAIN = (str, bool, int, float)


class LoggedRecord(NamedTuple):
    """A record of the log, with nothing secret in it any more; `at` is in microseconds since 1970."""

    at: int
    fields: Mapping[str, Any]


class OfficialLogExporter:
    """Sends log records by one of OpenTelemetry's exporters, `kind`, which reads its own variables.

    `about` are attributes of the resource, service.name among them. Raises ConfigurationError when the packages are
    missing, or a variable of the exporter is not as it must be.
    """

    def __init__(self, kind: str, about: Mapping[str, str]) -> None:
        try:
            self._api = import_module("opentelemetry._logs")
            self._sdk = import_module("opentelemetry.sdk._logs")
            resource = import_module("opentelemetry.sdk.resources").Resource
            scope = import_module("opentelemetry.sdk.util.instrumentation").InstrumentationScope
            made: Any = import_module(_MODULES[kind]).OTLPLogExporter
        except ImportError as error:
            raise ConfigurationError(
                f"the variables OTEL_* ask for logs, and their packages are not installed ({error.name}): "
                "pip install 'souk-platform[otel]'"
            ) from None
        self._scope, self._resource = scope("souk", version("souk-platform")), resource.create(dict(about))
        try:
            self._exporter = made()
        except ValueError as error:
            raise ConfigurationError(
                f"the exporter {kind} of logs cannot be used as the variables OTEL_* say: {error}"
            ) from None

    def export(self, records: Sequence[LoggedRecord]) -> bool:
        """Sends records; returns whether they have arrived."""
        result = self._exporter.export([self._readable(one) for one in records])
        return bool(result.name == "SUCCESS")

    def shutdown(self) -> None:
        """Gives up what is being tried."""
        self._exporter.shutdown()

    def _readable(self, one: LoggedRecord) -> Any:
        fields, level = one.fields, str(one.fields.get("level", "info"))
        record = self._api.LogRecord(
            timestamp=one.at * 1_000,
            observed_timestamp=one.at * 1_000,
            trace_id=_number(fields.get("trace_id"), 32),
            span_id=_number(fields.get("span_id"), 16),
            severity_text=level.upper(),
            severity_number=self._api.SeverityNumber(_SEVERITIES.get(level, 9)),
            body=str(fields.get("event", "")),
            attributes={_NAMES.get(name, name): _attribute(v) for name, v in fields.items() if name not in _OWN},
        )
        return self._sdk.ReadableLogRecord(record, self._resource, self._scope)


def _number(text: object, digits: int) -> int:
    if not isinstance(text, str) or len(text) != digits:
        return 0
    try:
        return int(text, 16)
    except ValueError:
        return 0


def _attribute(value: object) -> Any:
    return value if isinstance(value, _PLAIN) else orjson.dumps(value, default=str).decode()
