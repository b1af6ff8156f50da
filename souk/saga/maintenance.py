"""Queries and changes of recorded sagas for metrics and the clean-up, and the upkeep that does it now and then."""

from functools import partial

import structlog

from souk.kernel.clock import MICROSECONDS, Clock
from souk.saga.definition import SagaRef
from souk.saga.settings import SagaSettings
from souk.saga.versions import SagaVersion, SagaVersions, mark
from souk.store.database import Database, Transaction

log = structlog.get_logger("souk.saga")

_KEY = "subject = $1 AND saga = $2 AND attempt = $3"


async def end_leases(tx: Transaction) -> None:
    """Ends all leases on this database. Only for a process that knows that no other one uses it.

    Runs that wait have no owner, and go on waiting.
    """
    await tx.execute("UPDATE souk_saga_run SET lease_until = 0 WHERE active AND owner <> ''")


async def counts(tx: Transaction) -> dict[tuple[str, str], int]:
    """Counts the open runs by saga and phase; what waits for an operator counts as `parked` or `paused`, and what waits
    for a message or a time as `waiting`."""
    rows = await tx.fetch(
        """SELECT saga, count(*) AS runs,
                CASE WHEN paused_at <> 0 THEN 'paused' WHEN parked OR unknown_step <> '' THEN 'parked'
                     WHEN waiting_since <> 0 THEN 'waiting' ELSE phase END AS standing
           FROM souk_saga_run WHERE NOT ended GROUP BY 1, 3"""
    )
    return {(row["saga"], row["standing"]): row["runs"] for row in rows}


async def forget(tx: Transaction, older_than: float, limit: int) -> int:
    """Drops the data of up to `limit` runs that ended more than `older_than` seconds ago; returns how many.

    The data are the input and the steps' results, which only steps read. The run and its outcome stay:
    a subject and attempt may be used only once, and the outcome of an old attempt may still be asked for. The messages
    that the runs took go as well; a message that comes again after that is too late.
    """
    rows = await tx.fetch(
        f"""SELECT subject, saga, attempt FROM souk_saga_run
            WHERE ended AND NOT forgotten AND changed_at < {tx.dialect.now} - $1
            ORDER BY changed_at LIMIT $2 {tx.dialect.skip_locked}""",
        *(round(older_than * MICROSECONDS), limit),
    )
    keys = [(row["subject"], row["saga"], row["attempt"], b"") for row in rows]
    if keys:
        await tx.execute_many(f"UPDATE souk_saga_run SET input = $4, forgotten = TRUE WHERE {_KEY}", keys)
        await tx.execute_many(f"UPDATE souk_saga_step SET result = $4 WHERE {_KEY}", keys)
        taken = [key[:3] for key in keys]
        await tx.execute_many(f"DELETE FROM souk_saga_message WHERE {_KEY} AND fate = 'taken'", taken)
    return len(keys)


async def forget_messages(tx: Transaction, older_than: float, limit: int) -> tuple[int, int]:
    """Drops up to `limit` messages that came more than `older_than` seconds ago and that no run has taken.

    Returns how many, and how many of them no run had ever expected.
    """
    rows = await tx.fetch(
        f"""DELETE FROM souk_saga_message WHERE (message, id) IN (
                SELECT message, id FROM souk_saga_message
                WHERE fate <> 'taken' AND received_at < {tx.dialect.now} - $1 ORDER BY received_at LIMIT $2)
            RETURNING fate""",
        *(round(older_than * MICROSECONDS), limit),
    )
    return len(rows), sum(row["fate"] == "kept" for row in rows)


class Upkeep:
    """Drops the data of old runs, and marks the runs that only another version can drive: each now and then."""

    def __init__(self, database: Database, versions: SagaVersions, clock: Clock, settings: SagaSettings) -> None:
        self._database, self._versions, self._clock, self._settings = database, versions, clock, settings
        self._next_sweep = self._next_check = clock.monotonic()
        self._unknown: dict[SagaRef, SagaVersion] = {}

    async def run(self) -> None:
        """Does what it is time for. Raises StoreError."""
        await self._forget()
        await self._mark_unknown()

    async def _forget(self) -> None:
        """Drops the data of old runs, one batch at a time, so that leases are renewed in between."""
        if self._clock.monotonic() < self._next_sweep:
            return
        settings = self._settings
        runs = partial(forget, older_than=settings.retention, limit=settings.sweep_batch)
        messages = partial(forget_messages, older_than=settings.retention, limit=settings.sweep_batch)
        forgotten = await self._database.run(runs, guarded=True)
        dropped, never_expected = await self._database.run(messages, guarded=True)
        if never_expected:
            log.warning("messages that no saga ever expected are dropped", messages=never_expected)
        if max(forgotten, dropped) < settings.sweep_batch:
            self._next_sweep = self._clock.monotonic() + settings.sweep

    async def _mark_unknown(self) -> None:
        """Marks the runs that only another version can drive, and logs them in one line when new ones are found."""
        if self._clock.monotonic() < self._next_check:
            return
        self._next_check = self._clock.monotonic() + self._settings.lease
        found = await self._database.run(partial(mark, versions=self._versions))
        if found.keys() - self._unknown.keys():
            log.error(
                "open sagas whose definition this program does not have are not taken over; see `souk saga check`",
                runs=len(found),
                definitions=sorted({str(begun) for begun in found.values()}),
            )
        self._unknown = found
