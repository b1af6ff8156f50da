"""Writes what was gathered, in the transaction that the caller has begun."""

import json
import sqlite3
from collections.abc import Iterable

from souk.console.telemetry.store.records import MetricRecord, RingPosition, ScrapeRecord, SpanRecord, TelemetryBatch

MOST_SERIES = 20_000
"""Series of all processes of a run that are kept: labels without a bound do not fill the file."""


def write_batch(tx: sqlite3.Connection, batch: TelemetryBatch, run: int, now: int) -> int:
    """Writes all of a batch for the run; returns how many figures found no room among the series that are kept."""
    tx.execute("UPDATE runs SET seen = ? WHERE id = ?", (now, run))
    _write_spans(tx, batch.spans, run)
    _write_positions(tx, batch.positions.values(), now)
    return sum(_write_scrape(tx, one, run) for one in batch.scrapes)


def _write_spans(tx: sqlite3.Connection, spans: Iterable[SpanRecord], run: int) -> None:
    # A span that is there already, because it was read twice, changes nothing: not the trace's counts either.
    tx.executemany(
        "INSERT OR IGNORE INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                *(one.trace_id, one.span_id, one.parent_id, run, one.process, one.service, one.name, one.kind),
                *(one.began, one.took, one.error, one.attributes, one.links, one.bytes),
            )
            for one in spans
        ),
    )


def _write_positions(tx: sqlite3.Connection, positions: Iterable[RingPosition], now: int) -> None:
    tx.executemany(
        "INSERT INTO rings VALUES (?, ?, ?, ?, ?) ON CONFLICT (ring) DO UPDATE SET"
        " position = excluded.position, lost = rings.lost + excluded.lost, seen = excluded.seen",
        ((one.ring, one.process, one.position, one.lost, now) for one in positions),
    )


def _write_scrape(tx: sqlite3.Connection, scrape: ScrapeRecord, run: int) -> int:
    (process,) = tx.execute(
        "INSERT INTO processes (epoch, run, process, service, began, seen) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (epoch) DO UPDATE SET seen = excluded.seen RETURNING id",
        (scrape.epoch, run, scrape.process, scrape.service, scrape.at, scrape.at),
    ).fetchone()
    _write_metrics(tx, scrape.metrics)
    known = dict(tx.execute("SELECT metric || ' ' || labels, id FROM series WHERE process = ?", (process,)))
    room = MOST_SERIES - int(tx.execute("SELECT count(*) FROM series").fetchone()[0]) if scrape.points else 0
    rows, refused = [], 0
    for one in scrape.points:
        id_ = known.get(f"{one.metric} {one.labels}")
        if id_ is None:
            if room <= 0:
                refused += 1
                continue
            room -= 1
            id_ = tx.execute(
                "INSERT INTO series (process, metric, labels, began) VALUES (?, ?, ?, ?)",
                (process, one.metric, one.labels, scrape.at),
            ).lastrowid
        rows.append((id_, scrape.at, one.value, one.sum, json.dumps(one.counts) if one.counts else ""))
    tx.executemany("INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?)", rows)
    return refused


def _write_metrics(tx: sqlite3.Connection, metrics: Iterable[MetricRecord]) -> None:
    tx.executemany(
        "INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?)",
        # JSON has no infinity: the last bound, which is always that, is left out.
        ((one.name, one.type, one.help, json.dumps(one.bounds[:-1])) for one in metrics),
    )
