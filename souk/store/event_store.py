"""The event store: streams of immutable events, appended with an expected version (event sourcing).

After a VersionConflict the writer loads the stream again, folds it and decides again. Payloads hold
references, never personal data, because no event is ever changed or erased.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from souk.kernel.errors import VersionConflict
from souk.store.database import Database, Row, T, Transaction, Work

_DECIDE_TRIES = 10
MAX_POSITION = 2**63 - 1
_COLUMNS = "position, stream, version, type, payload, metadata, time"
# One statement checks both: the previous version exists, and this version does not.
_APPEND = """
    INSERT INTO souk_event_store (stream, version, type, payload, metadata, time)
    SELECT $1, CAST($2 AS BIGINT), $3, $4, $5, $6
    WHERE $2 = 1 OR EXISTS (SELECT 1 FROM souk_event_store WHERE stream = $1 AND version = $2 - 1)
    ON CONFLICT (stream, version) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to append. `time` is in microseconds since 1970; `metadata` is anything that JSON can express."""

    type: str
    payload: bytes
    time: int
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An appended event. `version` counts from 1 in its stream; `position` grows over all streams."""

    position: int
    stream: str
    version: int
    type: str
    payload: bytes
    time: int
    metadata: Mapping[str, object]


class EventStore:
    """The streams of one database."""

    async def append(self, tx: Transaction, stream: str, expected_version: int, events: Sequence[NewEvent]) -> int:
        """Appends to a stream whose last version is `expected_version`, 0 for a new one; returns the new last version.

        Raises VersionConflict when the stream has another version; the transaction can still be used after that.
        """
        for version, event in enumerate(events, expected_version + 1):
            metadata = orjson.dumps(event.metadata).decode()
            values = (stream, version, event.type, event.payload, metadata, event.time)
            if not await tx.execute(_APPEND, *values, expect_rows=1):
                raise VersionConflict(f"stream {stream} is not at version {version - 1}")
        return expected_version + len(events)

    async def load(self, tx: Transaction, stream: str, *, after: int = 0) -> list[RecordedEvent]:
        """Returns the events of one stream with a version above `after`, in order."""
        rows = await tx.fetch(
            f"SELECT {_COLUMNS} FROM souk_event_store WHERE stream = $1 AND version > $2 ORDER BY version",
            *(stream, after),
        )
        return [_event(row) for row in rows]

    async def load_since_snapshot(self, tx: Transaction, stream: str, *, fold: int) -> list[RecordedEvent]:
        """Returns the events from the one that the stream's snapshot of version `fold` ends with; else all of them."""
        rows = await tx.fetch(
            f"""SELECT {_COLUMNS} FROM souk_event_store WHERE stream = $1 AND version >= COALESCE(
                    (SELECT version FROM souk_snapshot WHERE stream = $1 AND fold = $2), 1) ORDER BY version""",
            *(stream, fold),
        )
        return [_event(row) for row in rows]

    async def load_next(
        self, tx: Transaction, *, after: str = "", begun_by: int = MAX_POSITION, streams: int = 100
    ) -> list[RecordedEvent]:
        """Returns the whole of the next streams whose names sort after `after`, stream by stream, each in order.

        It stops behind the last stream that began at a position up to `begun_by`. It reads as many events as those
        streams have, so `streams` should be small.
        """
        rows = await tx.fetch(
            f"""SELECT {_COLUMNS} FROM souk_event_store WHERE stream > $1 AND stream <= (
                    SELECT MAX(stream) FROM (
                        SELECT stream FROM souk_event_store WHERE version = 1 AND stream > $1 AND position <= $2
                        ORDER BY stream LIMIT $3
                    ) AS next
                ) ORDER BY stream, version""",
            *(after, begun_by, streams),
        )
        return [_event(row) for row in rows]

    async def last_position(self, tx: Transaction) -> int:
        """Returns the greatest position; 0 when there are no events."""
        row = await tx.fetch_one("SELECT COALESCE(MAX(position), 0) AS last FROM souk_event_store")
        return 0 if row is None else int(row["last"])

    async def count_streams(self, tx: Transaction) -> int:
        """Counts the streams; it goes through an index of all events."""
        row = await tx.fetch_one("SELECT COUNT(*) AS n FROM souk_event_store WHERE version = 1")
        return 0 if row is None else int(row["n"])

    async def read_all(
        self, tx: Transaction, *, after: int = 0, up_to: int = MAX_POSITION, limit: int = 500
    ) -> list[RecordedEvent]:
        """Returns the next events of all streams with a position above `after` and up to `up_to`.

        A position is assigned when a row is written, so positions may become visible out of order. To follow a live
        system, use `EventFollower`, which waits for what is still open; other services get events from the outbox.
        """
        rows = await tx.fetch(
            f"""SELECT {_COLUMNS} FROM souk_event_store WHERE position > $1 AND position <= $2
                ORDER BY position LIMIT $3""",
            *(after, up_to, limit),
        )
        return [_event(row) for row in rows]


async def decide(database: Database, work: Work[T]) -> T:
    """Runs `work`, which loads a stream, folds, decides and appends; runs it again if the stream has grown meanwhile.

    The transaction is guarded: the expected version protects the decision. Raises VersionConflict after ten
    conflicts in a row.
    """
    for _ in range(_DECIDE_TRIES - 1):
        try:
            return await database.run(work, guarded=True)
        except VersionConflict:
            continue
    return await database.run(work, guarded=True)


def _event(row: Row) -> RecordedEvent:
    return RecordedEvent(
        position=row["position"],
        stream=row["stream"],
        version=row["version"],
        type=row["type"],
        payload=row["payload"],
        time=row["time"],
        metadata=orjson.loads(row["metadata"]),
    )
