"""All SQL of the relay. Times are by the database's clock, in microseconds."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import TypeVar

from souk.events.causes import Cause
from souk.events.envelope import Event, event_of
from souk.kernel.clock import MICROSECONDS
from souk.store.database import Transaction, Value

_T = TypeVar("_T")
_ROWS_AT_ONCE = 1_024
PENDING, PARKED = "pending", "parked"
EVENT_COLUMNS = """
    o.seq, o.id, o.type, o.source, o.key, o.partition, o.time, COALESCE(d.payload, o.payload) AS payload, o.traceparent,
    o.tracestate
"""
"""The event that a consumer gets: `o` is its row, and `d` the consumer's, with the payload that an operator gave it."""


NO_TYPE: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Unrouted:
    """An event that no relay has routed yet."""

    seq: int
    partition: int
    type: str


@dataclass(frozen=True, slots=True)
class NotRouted:
    """How many events no relay has routed yet, and the age in seconds of the oldest."""

    events: int
    age: float


@dataclass(frozen=True, slots=True)
class Pending:
    """An event that a consumer has not handled yet; `failures` counts the tries on which its handler failed."""

    seq: int
    partition: int
    failures: int
    event: Event


@dataclass(slots=True)
class DeliveryRecord:
    """The results of one batch to record: sequence numbers, with the causes of parked and failed events."""

    delivered: list[int] = field(default_factory=list)
    parked: dict[int, Cause] = field(default_factory=dict)
    failed: dict[int, Cause] = field(default_factory=dict)

    @property
    def went_well(self) -> bool:
        """Whether there are deliveries and nothing else."""
        return bool(self.delivered) and not self.parked and not self.failed

    def without(self, numbers: Collection[int]) -> "DeliveryRecord":
        """Returns a copy without the events of these sequence numbers."""
        return DeliveryRecord(
            [seq for seq in self.delivered if seq not in numbers],
            {seq: reason for seq, reason in self.parked.items() if seq not in numbers},
            {seq: reason for seq, reason in self.failed.items() if seq not in numbers},
        )


def _padded(rows: Sequence[_T]) -> list[_T]:
    """Repeats the last row up to a power of two, so that few different statements are prepared."""
    return [*rows, *[rows[-1]] * ((1 << (len(rows) - 1).bit_length()) - len(rows))]


def _in(column: str, numbers: Collection[int], after: int) -> tuple[str, list[Value]]:
    """Returns `column IN ($n, ...)` and its values, padded."""
    values: list[Value] = [*_padded(sorted(numbers))]
    return f"{column} IN ({', '.join(f'${after + n + 1}' for n in range(len(values)))})", values


async def unrouted(tx: Transaction, partitions: Collection[int], limit: int) -> list[Unrouted]:
    """Returns the first events of these partitions that are not routed yet."""
    among, values = _in("partition", partitions, 1)
    sql = f"SELECT seq, partition, type FROM souk_outbox WHERE NOT routed AND {among} ORDER BY seq LIMIT $1"
    return [Unrouted(row["seq"], row["partition"], row["type"]) for row in await tx.fetch(sql, limit, *values)]


async def route(tx: Transaction, events: Sequence[Unrouted], consumers_of: Callable[[str], Sequence[str]]) -> None:
    """Makes one pending delivery for each event and consumer of its type; may be repeated, also after a crash.

    All of it is one statement of PostgreSQL, unless there are very many consumers.
    """
    rows = [(event.seq, name, event.partition) for event in events for name in consumers_of(event.type)]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = _padded(rows[start : start + _ROWS_AT_ONCE])
        await tx.write(_insert_of(len(some), tx.dialect.now), *(value for row in some for value in row))
    among, values = _in("seq", [event.seq for event in events], 0)
    await tx.write(f"UPDATE souk_outbox SET routed = TRUE WHERE {tx.dialect.unsynced} AND {among}", *values)


@cache
def _insert_of(rows: int, now: str) -> str:
    values = ", ".join(f"(${3 * row + 1}, ${3 * row + 2}, ${3 * row + 3}, {now})" for row in range(rows))
    return f"""
        INSERT INTO souk_outbox_delivery (seq, consumer, partition, changed_at)
        VALUES {values} ON CONFLICT (seq, consumer) DO NOTHING
    """


_NOT_BEHIND_A_PARKED_ONE = """
    AND NOT EXISTS (
        SELECT 1 FROM souk_outbox_delivery p JOIN souk_outbox q ON q.seq = p.seq
        WHERE p.consumer = d.consumer AND p.state = 'parked' AND p.partition = d.partition AND p.seq < d.seq
        AND q.key = o.key
    )
"""


async def pending(
    tx: Transaction, consumer: str, partitions: Collection[int], limit: int, *, waits: bool = False
) -> list[Pending]:
    """Returns the consumer's first pending events in these partitions, in order.

    If the consumer `waits`, those behind a parked event of their key are left out.
    """
    among, values = _in("d.partition", partitions, 2)
    sql = f"""
        SELECT d.failures, {EVENT_COLUMNS} FROM souk_outbox_delivery d JOIN souk_outbox o ON o.seq = d.seq
        WHERE d.consumer = $1 AND d.state = 'pending' AND {among} {_NOT_BEHIND_A_PARKED_ONE if waits else ""}
        ORDER BY d.seq LIMIT $2
    """
    rows = await tx.fetch(sql, consumer, limit, *values)
    return [Pending(row["seq"], row["partition"], row["failures"], event_of(row)) for row in rows]


async def lost(tx: Transaction, owner: str, epochs: Mapping[int, int]) -> set[int]:
    """Returns the partitions that `owner` no longer holds under these epochs; locks the leases."""
    among, values = _in("partition", epochs, 1)
    sql = f"""
        SELECT partition, epoch FROM souk_outbox_lease WHERE owner = $1 AND {among}
        ORDER BY partition {tx.dialect.for_update}
    """
    rows = await tx.fetch(sql, owner, *values)
    return set(epochs) - {row["partition"] for row in rows if row["epoch"] == epochs[row["partition"]]}


async def delivered(
    tx: Transaction, consumer: str, numbers: Collection[int], owner: str, epochs: Mapping[int, int]
) -> bool:
    """Records events as delivered in one statement, if `owner` still holds these partitions under these epochs.

    Returns whether all were recorded. The leases are not locked: that an event was delivered is true whoever holds its
    partition by now.
    """
    among, values = _in("seq", numbers, 3)
    leases = _padded(sorted(epochs.items()))
    first = 4 + len(values)
    held = " OR ".join(f"partition = ${first + 2 * n} AND epoch = ${first + 2 * n + 1}" for n in range(len(leases)))
    sql = f"""
        UPDATE souk_outbox_delivery SET changed_at = {tx.dialect.now}, state = 'delivered'
        WHERE consumer = $1 AND state = 'pending' AND {among}
        AND (SELECT count(*) FROM souk_outbox_lease WHERE owner = $2 AND ({held})) = $3
    """
    given = (*values, *(number for lease in leases for number in lease))
    count = len(numbers)
    return await tx.execute(sql, consumer, owner, len(epochs), *given, expect_rows=count) == count


async def record(tx: Transaction, consumer: str, what: DeliveryRecord) -> None:
    """Records the results of a batch for a consumer."""
    change = f"UPDATE souk_outbox_delivery SET changed_at = {tx.dialect.now}"
    if what.delivered:
        among, values = _in("seq", what.delivered, 1)
        sql = f"{change}, state = 'delivered' WHERE consumer = $1 AND state = 'pending' AND {among}"
        await tx.execute(sql, consumer, *values)
    why = "failures = failures + 1, reason = $3, digest = $4, location = $5"
    where = "WHERE consumer = $1 AND seq = $2 AND state = 'pending'"
    for state, causes in ((PARKED, what.parked), (PENDING, what.failed)):
        for seq, cause in causes.items():
            parts = (cause.reason, cause.digest, cause.location)
            await tx.execute(f"{change}, state = '{state}', {why} {where}", consumer, seq, *parts)


async def route_again(tx: Transaction, consumer: str) -> int:
    """Has the events that are pending for a consumer which is no more routed anew; returns how many."""
    pending_rows = "SELECT seq FROM souk_outbox_delivery WHERE consumer = $1 AND state = 'pending'"
    await tx.execute(f"UPDATE souk_outbox SET routed = FALSE WHERE seq IN ({pending_rows})", consumer)
    return await tx.execute("DELETE FROM souk_outbox_delivery WHERE consumer = $1 AND state = 'pending'", consumer)


async def lag(tx: Transaction, consumers: Mapping[str, Collection[str]]) -> dict[str, float]:
    """Returns, for each consumer, given with its types, the age in seconds of its oldest event that is due."""
    now = f"{tx.dialect.now} AS now"
    waiting = await tx.fetch(f"SELECT type, MIN(time) AS time, {now} FROM souk_outbox WHERE NOT routed GROUP BY type")
    oldest = f"""
        SELECT o.time, {now} FROM souk_outbox_delivery d JOIN souk_outbox o ON o.seq = d.seq
        WHERE d.consumer = $1 AND d.state = 'pending' ORDER BY d.seq LIMIT 1
    """
    ages: dict[str, float] = {}
    for consumer, types in consumers.items():
        rows = [row for row in waiting if row["type"] in types] + await tx.fetch(oldest, consumer)
        ages[consumer] = max(((row["now"] - row["time"]) / MICROSECONDS for row in rows), default=0.0)
    return {consumer: max(age, 0.0) for consumer, age in ages.items()}


async def not_routed(tx: Transaction) -> NotRouted | None:
    """Returns what no relay has routed yet; None if that is nothing."""
    sql = f"SELECT count(*) AS events, {tx.dialect.now} - MIN(time) AS age FROM souk_outbox WHERE NOT routed"
    (row,) = await tx.fetch(sql)
    return NotRouted(row["events"], max(row["age"] / MICROSECONDS, 0.0)) if row["events"] else None


async def counts(tx: Transaction, consumers: Mapping[str, Collection[str]]) -> dict[tuple[str, str], int]:
    """Counts the events that are `pending` and `parked`, by consumer and state; subscribed consumers may have zeros.

    Events that were routed to a consumer that is no longer declared are counted as well.
    """
    found = {(consumer, state): 0 for consumer in consumers for state in (PENDING, PARKED)}
    # One state at a time: each has its own partial index.
    for state in (PENDING, PARKED):
        sql = f"SELECT consumer, count(*) AS events FROM souk_outbox_delivery WHERE state = '{state}' GROUP BY consumer"
        found |= {(row["consumer"], state): row["events"] for row in await tx.fetch(sql)}
    unrouted_yet = "SELECT type, count(*) AS events FROM souk_outbox WHERE NOT routed GROUP BY type"
    for row in await tx.fetch(unrouted_yet):
        for consumer in (name for name, types in consumers.items() if row["type"] in types):
            found[consumer, PENDING] += row["events"]
    return found


async def sweep(tx: Transaction, retention: float, limit: int, by_type: Mapping[str, float] = NO_TYPE) -> int:
    """Deletes up to `limit` events that every consumer has handled and that are older than `retention` seconds.

    Types in `by_type` have another retention.
    """
    cases = "".join(f" WHEN ${3 + 2 * n} THEN CAST(${4 + 2 * n} AS BIGINT)" for n in range(len(by_type)))
    kept = f"CASE o.type {cases} ELSE CAST($1 AS BIGINT) END" if by_type else "$1"
    sql = f"""
        SELECT o.seq FROM souk_outbox o WHERE o.routed AND o.time < {tx.dialect.now} - {kept} AND NOT EXISTS
            (SELECT 1 FROM souk_outbox_delivery d WHERE d.seq = o.seq AND d.state <> 'delivered')
        ORDER BY o.seq LIMIT $2
    """
    values = [value for name, seconds in by_type.items() for value in (name, round(seconds * MICROSECONDS))]
    rows = await tx.fetch(sql, round(retention * MICROSECONDS), limit, *values)
    await _delete(tx, [row["seq"] for row in rows])
    return len(rows)


async def _delete(tx: Transaction, numbers: Iterable[int]) -> None:
    if found := list(numbers):
        among, values = _in("seq", found, 0)
        await tx.execute(f"DELETE FROM souk_outbox_delivery WHERE {among}", *values)
        await tx.execute(f"DELETE FROM souk_outbox WHERE {among}", *values)


@dataclass(frozen=True, slots=True)
class RecordedDelivery:
    """A delivery of an event to a `consumer`: its `state`, and since when, in microseconds since 1970."""

    event_id: str
    type: str
    consumer: str
    state: str
    reason: str
    at: int


async def deliveries_of(tx: Transaction, event_ids: Sequence[str]) -> list[RecordedDelivery]:
    """Returns the deliveries of events by their ids, as far as the outbox still has them."""
    if not event_ids:
        return []
    names = ", ".join(f"${number}" for number in range(1, len(event_ids) + 1))
    sql = f"""
        SELECT o.id, o.type, d.consumer, d.state, d.reason, d.changed_at
        FROM souk_outbox o JOIN souk_outbox_delivery d ON d.seq = o.seq WHERE o.id IN ({names}) ORDER BY d.changed_at
    """
    return [
        RecordedDelivery(row["id"], row["type"], row["consumer"], row["state"], row["reason"], row["changed_at"])
        for row in await tx.fetch(sql, *event_ids)
    ]
