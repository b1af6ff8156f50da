"""Exports the log records of this process, and counts them.

souk_log_records_total{outcome}   records that were exported, dropped for want of room, or failed to be exported; `lost`
                                  are lines that the reader of this process's own log has not taken
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from souk.kernel.clock import Clock
from souk.telemetry.batches import Batches, Exporter
from souk.telemetry.log_export.official import LoggedRecord, OfficialLogExporter
from souk.telemetry.log_export.settings import LogExportSettings
from souk.telemetry.logs import given_also_to, lost_lines

LAST_EXPORT = 5.0
"""The most seconds that a process waits at its end for its last records to be exported."""
_NAME, _HELP = (
    "souk_log_records",
    "Log records by what became of them, where they are exported; and lines that were lost.",
)


class LogRecords(Collector):
    """Hands log records to an `exporter`, if there is one. As a collector it counts them."""

    def __init__(self, settings: LogExportSettings, clock: Clock, exporter: Exporter[LoggedRecord] | None) -> None:
        self._clock = clock
        self._batches = None if exporter is None else Batches(exporter, settings.batch, "log records")

    def take(self, record: Mapping[str, Any]) -> None:
        """Queues a record, unless it is of the exporter itself: it would make another one each time that it fails."""
        batches = self._batches
        if batches is not None and threading.current_thread() is not batches.thread:
            batches.put(LoggedRecord(self._clock.now(), dict(record)))

    def close(self, limit: float = LAST_EXPORT) -> None:
        """Exports what waits, for `limit` seconds at most, and blocks meanwhile."""
        if self._batches is not None:
            self._batches.close(limit)

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(_NAME, _HELP, labels=["outcome"])
        for outcome in ("exported", "dropped", "failed"):
            family.add_metric([outcome], 0 if self._batches is None else getattr(self._batches, outcome))
        family.add_metric(["lost"], lost_lines())
        yield family

    def describe(self) -> Iterable[Metric]:
        """Names the counter without reading it."""
        yield CounterMetricFamily(_NAME, _HELP, labels=["outcome"])


@asynccontextmanager
async def exported_logs(
    settings: LogExportSettings, clock: Clock, service: str, about: Mapping[str, str]
) -> AsyncIterator[LogRecords]:
    """Exports log records inside the block, as the settings say; gives their counts in any case.

    `service` is the name of the service where the settings have none; `about` are more attributes of the resource.
    Raises ConfigurationError, in one line, when the exporter cannot be made.
    """
    exporter = None
    if settings.exporter:
        exporter = OfficialLogExporter(settings.exporter, {**about, "service.name": settings.service or service})
    records = LogRecords(settings, clock, exporter)
    try:
        with given_also_to(records.take):
            yield records
    finally:
        if exporter is not None:
            await asyncio.shield(asyncio.to_thread(records.close))
