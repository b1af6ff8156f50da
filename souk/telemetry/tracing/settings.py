"""What OpenTelemetry's own variables say of traces."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from souk.kernel.errors import ConfigurationError
from souk.telemetry.batches import BatchLimits
from souk.telemetry.otel_variables import is_disabled, otel_variables, otlp_exporter, otlp_url, whole_number
from souk.telemetry.tracing.sampling import HeadSampler, head_sampler
from souk.telemetry.tracing.tail import TailLimits

TRACES = "TRACES"
"""The signal, in the names of variables."""
ZIPKIN = "zipkin"
_SWITCHES_ON = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "otlp",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "otlp",
    "OTEL_EXPORTER_ZIPKIN_ENDPOINT": "zipkin",
}


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """How spans are recorded: by which `exporters`, none of which means for this system's console alone. They send to
    `receivers`, in the same order.

    `sampler` decides at the head; None is the default: all traces for exporters, the first few of each second for the
    console. `disabled` records nothing at all.
    `service` names the service of a process that has only one; empty means the service's own name. `batch` are the
    limits of each exporter. `tail` keeps what turns out to be worth it of traces that are not sampled, such as those
    with a span of `slow` seconds; of more than `tail_rate` spans a second it leaves out whole traces.
    """

    exporters: tuple[str, ...] = ()
    sampler: HeadSampler | None = None
    service: str = ""
    batch: BatchLimits = field(default_factory=BatchLimits)
    tail: bool = True
    slow: float = TailLimits().slow
    tail_rate: int = 250
    disabled: bool = False
    receivers: tuple[str, ...] = field(default=(), repr=False)


def read_tracing(variables: Mapping[str, str]) -> TracingSettings:
    """Reads the variables; those that are empty count as not set. Raises ConfigurationError, in one line."""
    given = otel_variables(variables)
    if is_disabled(given):
        return TracingSettings(disabled=True)
    exporters = _exporters(given)
    queue = whole_number(given, "OTEL_BSP_MAX_QUEUE_SIZE", 2_048)
    return TracingSettings(
        exporters,
        _sampler(given),
        given.get("OTEL_SERVICE_NAME", ""),
        BatchLimits(
            queue,
            min(queue, whole_number(given, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)),
            whole_number(given, "OTEL_BSP_SCHEDULE_DELAY", 5_000) / 1_000,
        ),
        receivers=tuple(receiver_url(given, one) for one in exporters),
    )


def receiver_url(given: Mapping[str, str], exporter: str) -> str:
    """Gives the URL that an exporter of traces sends to."""
    if exporter == ZIPKIN:
        return given.get("OTEL_EXPORTER_ZIPKIN_ENDPOINT", "http://localhost:9411/api/v2/spans")
    return otlp_url(given, TRACES, exporter)


def _sampler(given: Mapping[str, str]) -> HeadSampler | None:
    name = given.get("OTEL_TRACES_SAMPLER")
    return None if name is None else head_sampler(name, given.get("OTEL_TRACES_SAMPLER_ARG", ""))


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
    return otlp_exporter(given, TRACES)
