"""Makes what tests of the console's data write."""

import sqlite3
from pathlib import Path

from souk.console.telemetry.store.records import PointRecord, ScrapeRecord, SpanRecord, TelemetryBatch
from souk.console.telemetry.store.telemetry_file import open_for_reading

SECOND = 1_000_000
NOW = 1_800_000_000 * SECOND


def trace(number: int) -> str:
    return f"{number:032x}"


def span(
    number: int,
    span: int = 1,
    parent: int = 0,
    service: str = "order",
    name: str = "work",
    *,
    began: int = 0,
    took: int = 1_000,
    kind: int = 1,
    error: str = "",
    attributes: str = "{}",
    links: str = "",
) -> SpanRecord:
    return SpanRecord(
        trace_id=trace(number),
        span_id=f"{span:016x}",
        parent_id=f"{parent:016x}" if parent else "",
        process=f"{service}-1",
        service=service,
        name=name,
        kind=kind,
        began=NOW + began,
        took=took,
        error=error,
        attributes=attributes,
        links=links,
    )


def scrape(epoch: str, at: int, *points: PointRecord, process: str = "order-1") -> ScrapeRecord:
    return ScrapeRecord(epoch, process, process.rpartition("-")[0], NOW + at, (), points)


def batch(*spans: SpanRecord, scrapes: tuple[ScrapeRecord, ...] = ()) -> TelemetryBatch:
    return TelemetryBatch(spans=list(spans), scrapes=list(scrapes))


def rows(folder: Path, sql: str, *values: object) -> list[tuple[object, ...]]:
    connection = open_for_reading(folder / "console.db")
    try:
        return [tuple(row) for row in connection.execute(sql, values)]
    finally:
        connection.close()


def lock(folder: Path) -> sqlite3.Connection:
    """Holds the file's lock for writers until the connection is closed."""
    connection = sqlite3.connect(folder / "console.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection
