"""What OpenTelemetry's own variables say of traces (its specification, "Environment Variable Specification").

The exporters read those of their own by themselves: endpoints, headers, time-outs, certificates, compression.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from souk.kernel.errors import ConfigurationError
from souk.telemetry.tracing.batch import BatchLimits
from souk.telemetry.tracing.sampling import HeadSampler, always_on, head_sampler
from souk.telemetry.tracing.tail import TailLimits

OTLP_GRPC, OTLP_HTTP, ZIPKIN = "otlp/grpc", "otlp/http", "zipkin"
EXPORTERS = (OTLP_GRPC, OTLP_HTTP, ZIPKIN)
_PROTOCOLS = {"grpc": OTLP_GRPC, "http/protobuf": OTLP_HTTP}
_SWITCHES_ON = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "otlp",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "otlp",
    "OTEL_EXPORTER_ZIPKIN_ENDPOINT": "zipkin",
}


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """How spans are recorded: by which `exporters`, none of which means not at all.

    `service` names the service of a process that has only one; empty means the service's own name. `batch` are the
    limits of each exporter. `tail` keeps what turns out to be worth it of traces that are not sampled, such as those
    with a span of `slow` seconds.
    """

    exporters: tuple[str, ...] = ()
    sampler: HeadSampler = field(default_factory=lambda: HeadSampler(always_on))
    service: str = ""
    batch: BatchLimits = field(default_factory=BatchLimits)
    tail: bool = True
    slow: float = TailLimits().slow


def read_tracing(variables: Mapping[str, str]) -> TracingSettings:
    """Reads the variables; those that are empty count as not set. Raises ConfigurationError, in one line."""
    given = {name: text.strip() for name, text in variables.items() if name.startswith("OTEL_") and text.strip()}
    if given.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return TracingSettings()
    exporters = _exporters(given)
    if not exporters:
        return TracingSettings()
    queue = _whole(given, "OTEL_BSP_MAX_QUEUE_SIZE", 2_048)
    return TracingSettings(
        exporters,
        head_sampler(
            given.get("OTEL_TRACES_SAMPLER", "parentbased_always_on"), given.get("OTEL_TRACES_SAMPLER_ARG", "")
        ),
        given.get("OTEL_SERVICE_NAME", ""),
        BatchLimits(
            queue,
            min(queue, _whole(given, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)),
            _whole(given, "OTEL_BSP_SCHEDULE_DELAY", 5_000) / 1_000,
        ),
    )


def _exporters(given: Mapping[str, str]) -> tuple[str, ...]:
    named = given.get("OTEL_TRACES_EXPORTER")
    asked = named.split(",") if named else [kind for name, kind in _SWITCHES_ON.items() if name in given]
    found = [_exporter(given, one.strip()) for one in asked]
    return tuple(dict.fromkeys(one for one in found if one))


def _exporter(given: Mapping[str, str], name: str) -> str:
    if name == "none":
        return ""
    if name == "zipkin":
        return ZIPKIN
    if name != "otlp":
        raise ConfigurationError(f"OTEL_TRACES_EXPORTER: {name!r} must be otlp, zipkin or none")
    for variable in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if variable in given:
            if given[variable] not in _PROTOCOLS:
                raise ConfigurationError(f"{variable}: {given[variable]!r} must be grpc or http/protobuf")
            return _PROTOCOLS[given[variable]]
    return OTLP_HTTP


def _whole(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 1_000_000:
        raise ConfigurationError(f"{name}: {text!r} must be a whole number from 1 to 1,000,000")
    return int(text)
