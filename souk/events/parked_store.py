"""The SQL of parked events: those that a consumer does not get until an operator decides."""

from dataclasses import dataclass

from souk.events.causes import Cause
from souk.events.envelope import Event, event_of
from souk.events.store import EVENT_COLUMNS
from souk.store.database import Row, Transaction
from souk.store.outbox import partition_of


@dataclass(frozen=True, slots=True)
class Parked:
    """An event that a consumer does not get until it is replayed; `since` is in microseconds since 1970."""

    consumer: str
    event: Event
    cause: Cause
    failures: int
    since: int


async def parked(tx: Transaction, limit: int) -> list[Parked]:
    """Returns the parked events, oldest first."""
    sql = f"""
        SELECT d.consumer, d.reason, d.digest, d.location, d.failures, d.changed_at, {EVENT_COLUMNS}
        FROM souk_outbox_delivery d JOIN souk_outbox o ON o.seq = d.seq
        WHERE d.state = 'parked' ORDER BY d.seq LIMIT $1
    """
    return [
        Parked(row["consumer"], event_of(row), _cause_of(row), row["failures"], row["changed_at"])
        for row in await tx.fetch(sql, limit)
    ]


async def park(tx: Transaction, event: Event, consumer: str, cause: Cause, failures: int) -> None:
    """Parks an event for a consumer; writes the event again if it was deleted. May be repeated."""
    again = """
        INSERT INTO souk_outbox (id, type, source, key, partition, time, payload, traceparent, routed)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, TRUE) ON CONFLICT (id) DO NOTHING
    """
    key, time = event.key, event.time.ToMicroseconds()
    values = (event.id, event.type, event.source, key, partition_of(key), time, event.payload, event.traceparent)
    await tx.execute(again, *values)
    parked_row = f"""
        INSERT INTO souk_outbox_delivery
            (seq, consumer, partition, state, failures, reason, digest, location, changed_at)
        SELECT seq, $2, partition, 'parked', CAST($3 AS BIGINT), $4, $5, $6, {tx.dialect.now}
        FROM souk_outbox WHERE id = $1
        ON CONFLICT (seq, consumer) DO NOTHING
    """
    await tx.execute(parked_row, event.id, consumer, failures, cause.reason, cause.digest, cause.location)


async def replay(tx: Transaction, event_id: str, consumer: str | None) -> int:
    """Makes a parked event pending again, for one consumer or for all; returns for how many."""
    only = "" if consumer is None else "AND consumer = $2"
    sql = f"""
        UPDATE souk_outbox_delivery SET state = 'pending', failures = 0, changed_at = {tx.dialect.now}
        WHERE state = 'parked' AND seq = (SELECT seq FROM souk_outbox WHERE id = $1) {only}
    """
    return await tx.execute(sql, event_id, *([] if consumer is None else [consumer]))


def _cause_of(row: Row) -> Cause:
    return Cause(row["reason"], row["digest"], row["location"])
