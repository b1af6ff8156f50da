"""The SQL of parked events: those that a consumer does not get until an operator decides."""

from dataclasses import dataclass

from souk.events.causes import Cause
from souk.events.envelope import Event, event_of, tracestate_of
from souk.events.store import EVENT_COLUMNS, PENDING
from souk.store.database import Row, Transaction
from souk.store.outbox import partition_of

_PARKED = f"""
    SELECT d.consumer, d.reason, d.digest, d.location, d.failures, d.changed_at, {EVENT_COLUMNS}
    FROM souk_outbox_delivery d JOIN souk_outbox o ON o.seq = d.seq WHERE d.state = 'parked'
"""
_DECIDED = """
    INSERT INTO souk_outbox_decision (event_id, consumer, decision, decided_by, why, payload_before, decided_at)
    VALUES ($1, $2, $3, $4, $5, $6, {now})
"""
EDITED, REPLAYED = "edited", "replayed"
DISCARDED = "discarded"
"""The state of an event that a consumer never gets, because an operator decided so."""


@dataclass(frozen=True, slots=True)
class Parked:
    """An event that a consumer does not get until it is replayed; `since` is in microseconds since 1970."""

    consumer: str
    event: Event
    cause: Cause
    failures: int
    since: int


@dataclass(frozen=True, slots=True)
class ParkedDecision:
    """Who decided something about a parked event, and why."""

    by: str
    why: str


@dataclass(frozen=True, slots=True)
class PastDecision:
    """What was decided about an event for a consumer: it was "replayed", "edited" or "discarded".

    `at` is in microseconds since 1970. `before` is the event with the payload that it had before an edit.
    """

    consumer: str
    word: str
    decision: ParkedDecision
    at: int
    before: Event | None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event as it was published, for whom it is parked, and what was decided about it, the oldest first."""

    event: Event
    parked: list[Parked]
    decisions: list[PastDecision]


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An event, parked for `reason`, that a consumer never gets, as was decided `at`, in microseconds since 1970."""

    id: str
    type: str
    key: str
    consumer: str
    reason: str
    decision: ParkedDecision
    at: int


async def parked(tx: Transaction, limit: int) -> list[Parked]:
    """Returns the parked events, oldest first."""
    return [_parked_of(row) for row in await tx.fetch(f"{_PARKED} ORDER BY d.seq LIMIT $1", limit)]


async def event_record(tx: Transaction, event_id: str) -> EventRecord | None:
    """Returns what is known of an event; None if it is not in this outbox."""
    row = await tx.fetch_one("SELECT * FROM souk_outbox WHERE id = $1", event_id)
    if row is None:
        return None
    found = await tx.fetch(f"{_PARKED} AND o.id = $1 ORDER BY d.consumer", event_id)
    decided = await tx.fetch("SELECT * FROM souk_outbox_decision WHERE event_id = $1 ORDER BY decided_at", event_id)
    event = event_of(row)
    return EventRecord(event, [_parked_of(one) for one in found], [_decision_of(one, event) for one in decided])


async def park(tx: Transaction, event: Event, consumer: str, cause: Cause, failures: int) -> None:
    """Parks an event for a consumer; writes the event again if it was deleted. May be repeated."""
    again = """
        INSERT INTO souk_outbox (id, type, source, key, partition, time, payload, traceparent, tracestate, routed)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, TRUE) ON CONFLICT (id) DO NOTHING
    """
    key, time = event.key, event.time.ToMicroseconds()
    values = (event.id, event.type, event.source, key, partition_of(key), time, event.payload)
    await tx.execute(again, *values, event.traceparent, tracestate_of(event))
    parked_row = f"""
        INSERT INTO souk_outbox_delivery
            (seq, consumer, partition, state, failures, reason, digest, location, changed_at)
        SELECT seq, $2, partition, 'parked', CAST($3 AS BIGINT), $4, $5, $6, {tx.dialect.now}
        FROM souk_outbox WHERE id = $1
        ON CONFLICT (seq, consumer) DO NOTHING
    """
    await tx.execute(parked_row, event.id, consumer, failures, cause.reason, cause.digest, cause.location)


async def decide(tx: Transaction, event_id: str, consumer: str | None, state: str, decision: ParkedDecision) -> int:
    """Makes a parked event PENDING or DISCARDED, for one consumer or for all, and keeps who decided it.

    Returns for how many consumers.
    """
    only = "" if consumer is None else "AND consumer = $2"
    failures = "failures = 0," if state == PENDING else ""
    sql = f"""
        UPDATE souk_outbox_delivery SET state = '{state}', {failures} changed_at = {tx.dialect.now}
        WHERE state = 'parked' AND seq = (SELECT seq FROM souk_outbox WHERE id = $1) {only} RETURNING consumer
    """
    rows = await tx.fetch(sql, event_id, *([] if consumer is None else [consumer]))
    word = REPLAYED if state == PENDING else DISCARDED
    for row in rows:
        await _keep(tx, event_id, row["consumer"], word, decision)
    return len(rows)


async def edit(tx: Transaction, one: Parked, payload: bytes, decision: ParkedDecision) -> None:
    """Makes a parked event pending for its consumer with another payload; keeps the one before, and who decided it.

    The event itself stays as it was published, for all others. Raises LookupError if it is not parked any more, or was
    parked anew, since `one` was read.
    """
    sql = f"""
        UPDATE souk_outbox_delivery SET state = 'pending', failures = 0, payload = $4, changed_at = {tx.dialect.now}
        WHERE state = 'parked' AND seq = (SELECT seq FROM souk_outbox WHERE id = $1) AND consumer = $2
        AND changed_at = $3
    """
    if not await tx.execute(sql, one.event.id, one.consumer, one.since, payload):
        raise LookupError(f"{one.event.id} is not parked any more for {one.consumer} as it was shown")
    await _keep(tx, one.event.id, one.consumer, EDITED, decision, one.event.payload)


async def _keep(
    tx: Transaction, event_id: str, consumer: str, word: str, decision: ParkedDecision, before: bytes | None = None
) -> None:
    sql = _DECIDED.format(now=tx.dialect.now)
    await tx.execute(sql, event_id, consumer, word, decision.by, decision.why, before)


async def discarded(tx: Transaction, limit: int) -> list[RefusedEvent]:
    """Returns what was discarded, oldest first."""
    sql = """
        SELECT o.id, o.type, o.key, d.consumer, d.reason, w.decided_by, w.why, w.decided_at
        FROM souk_outbox_decision w JOIN souk_outbox o ON o.id = w.event_id
        JOIN souk_outbox_delivery d ON d.seq = o.seq AND d.consumer = w.consumer
        WHERE w.decision = 'discarded' ORDER BY w.decided_at LIMIT $1
    """
    return [
        RefusedEvent(
            row["id"],
            row["type"],
            row["key"],
            row["consumer"],
            row["reason"],
            ParkedDecision(row["decided_by"], row["why"]),
            row["decided_at"],
        )
        for row in await tx.fetch(sql, limit)
    ]


def _parked_of(row: Row) -> Parked:
    cause = Cause(row["reason"], row["digest"], row["location"])
    return Parked(row["consumer"], event_of(row), cause, row["failures"], row["changed_at"])


def _decision_of(row: Row, event: Event) -> PastDecision:
    before = None
    if row["payload_before"] is not None:
        before = Event()
        before.CopyFrom(event)
        before.payload = row["payload_before"]
    decision = ParkedDecision(row["decided_by"], row["why"])
    return PastDecision(row["consumer"], row["decision"], decision, row["decided_at"], before)
