"""Snapshots: the state of a long stream at one version, so that only the events after it are folded.

    SNAPSHOTS = Snapshots(fold=1)
    snapshot, events = await SNAPSHOTS.load(tx, stream)      # the events after the snapshot, or all of them
    await SNAPSHOTS.keep(tx, stream, before, after, state)   # in the transaction that appends

A snapshot is never the truth: without it the same state is folded from the events. A short stream has none, and costs
no statement more. Source: Greg Young, "Versioning in an Event Sourced System", 2017, on snapshots.
"""

from collections.abc import Callable
from dataclasses import dataclass

from souk.store.database import Row, Transaction
from souk.store.event_store import EventStore, RecordedEvent

EVERY = 50
"""Events between two snapshots of a stream."""
# A newer program's snapshot stays when an older one, which folds otherwise, still runs beside it.
_KEEP = """
    INSERT INTO souk_snapshot (stream, version, fold, state) VALUES ($1, $2, $3, $4)
    ON CONFLICT (stream) DO UPDATE SET version = excluded.version, fold = excluded.fold, state = excluded.state
    WHERE excluded.fold > souk_snapshot.fold
        OR (excluded.fold = souk_snapshot.fold AND excluded.version > souk_snapshot.version)
"""


@dataclass(frozen=True, slots=True)
class StreamSnapshot:
    """What the first `version` events of a stream make; `state` is in the form that its writer chose."""

    version: int
    state: bytes


class Snapshots:
    """Snapshots of the streams of one kind.

    `fold` is the version of the code that makes a state of events. Raise it by one whenever the same events would make
    another state, or the state has another form: snapshots of other versions are not used.
    """

    def __init__(self, fold: int, every: int = EVERY) -> None:
        self._fold, self._every = fold, every
        self._log = EventStore()

    def may_exist(self, version: int) -> bool:
        """Returns whether a stream that has come to `version` may have a snapshot; a shorter one has none."""
        return version >= self._every

    async def load(self, tx: Transaction, stream: str) -> tuple[StreamSnapshot | None, list[RecordedEvent]]:
        """Returns the newest snapshot and the events after it; None and all events when there is no snapshot."""
        events = await self._log.load_since_snapshot(tx, stream, fold=self._fold)
        if not events or events[0].version == 1:
            return None, events
        snapshot = await self._newest(tx, stream)
        if snapshot is None:  # a newer program has replaced it since
            return None, await self._log.load(tx, stream)
        return snapshot, [event for event in events if event.version > snapshot.version]

    async def keep(self, tx: Transaction, stream: str, before: int, after: int, state: Callable[[], bytes]) -> None:
        """Stores the state at version `after` if the events since version `before` passed a multiple of `every`."""
        if after // self._every > before // self._every:
            await tx.execute(_KEEP, stream, after, self._fold, state())

    async def drop(self, tx: Transaction, stream: str) -> None:
        """Deletes a stream's snapshot, of whatever version."""
        await tx.execute("DELETE FROM souk_snapshot WHERE stream = $1", stream)

    async def _newest(self, tx: Transaction, stream: str) -> StreamSnapshot | None:
        sql = "SELECT version, state FROM souk_snapshot WHERE stream = $1 AND fold = $2"
        row: Row | None = await tx.fetch_one(sql, stream, self._fold)
        return None if row is None else StreamSnapshot(int(row["version"]), bytes(row["state"]))
