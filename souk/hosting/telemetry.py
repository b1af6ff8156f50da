"""Opens what a process tells others of itself: its traces and its log records."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from souk.kernel.clock import Clock
from souk.runtime.config.settings import Settings
from souk.telemetry.log_export.exporting import LogRecords, exported_logs
from souk.telemetry.tracing.tracing import Tracing, open_tracing


@dataclass(frozen=True, slots=True)
class ProcessTelemetry:
    """The `tracing` of this process, if there is to be any, and the counts of its log records."""

    tracing: Tracing | None
    logs: LogRecords


@asynccontextmanager
async def open_telemetry(
    settings: Settings, clock: Clock, service: str, instance: str
) -> AsyncIterator[ProcessTelemetry]:
    """Records spans and exports log records inside the block, as the settings say.

    `service` and `instance` name this process to whoever gets them. Raises ConfigurationError, in one line, when an
    exporter cannot be made.
    """
    about = {"service.instance.id": instance}
    async with AsyncExitStack() as stack:
        tracing = await stack.enter_async_context(
            open_tracing(settings.tracing, clock, about, settings.console.kept_spans)
        )
        logs = await stack.enter_async_context(exported_logs(settings.log_export, clock, service, about))
        yield ProcessTelemetry(tracing, logs)
