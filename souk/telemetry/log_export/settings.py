"""What OpenTelemetry's own variables say of logs.

OTEL_LOGS_EXPORTER, or OTEL_EXPORTER_OTLP_LOGS_ENDPOINT, switches the export on; the endpoint of all signals alone does
not, because many a tool that takes traces takes no logs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from souk.kernel.errors import ConfigurationError
from souk.telemetry.batches import BatchLimits
from souk.telemetry.otel_variables import is_disabled, otel_variables, otlp_exporter, otlp_url, whole_number


@dataclass(frozen=True, slots=True)
class LogExportSettings:
    """By which `exporter` log records are sent, and to which `receiver`; "" for none. `service` is the name of the
    process's service, or ""."""

    exporter: str = ""
    service: str = ""
    batch: BatchLimits = field(default_factory=lambda: BatchLimits(delay=1.0))
    receiver: str = field(default="", repr=False)


def read_log_export(variables: Mapping[str, str]) -> LogExportSettings:
    """Reads the variables. Raises ConfigurationError, in one line."""
    given = otel_variables(variables)
    default = "otlp" if "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT" in given else "none"
    kind = given.get("OTEL_LOGS_EXPORTER", default)
    if kind not in {"otlp", "none"}:
        raise ConfigurationError(f"OTEL_LOGS_EXPORTER: {kind!r} must be otlp or none")
    if kind == "none" or is_disabled(given):
        return LogExportSettings()
    queue = whole_number(given, "OTEL_BLRP_MAX_QUEUE_SIZE", 2_048)
    limits = BatchLimits(
        queue,
        min(queue, whole_number(given, "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", 512)),
        whole_number(given, "OTEL_BLRP_SCHEDULE_DELAY", 1_000) / 1_000,
    )
    exporter = otlp_exporter(given, "LOGS")
    return LogExportSettings(
        exporter, given.get("OTEL_SERVICE_NAME", ""), limits, receiver=otlp_url(given, "LOGS", exporter)
    )
