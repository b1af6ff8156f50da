"""The records of rebuilds, in the database of the service whose projections they make.

Every write by the owner of a rebuild is conditional on the lease's epoch and raises LeaseLost when another owner has
taken over. Leases are measured by the database's clock.
"""

from dataclasses import dataclass
from enum import StrEnum

from souk.kernel.clock import MICROSECONDS
from souk.kernel.errors import LeaseLost
from souk.store.database import Row, Transaction

LEASE = 10.0
"""Seconds for which a rebuild is held; each batch extends it."""
FIRST = 2
"""The generation of the first rebuild; generation 1 is what was there before."""


class RebuildPhase(StrEnum):
    """What a rebuild does next."""

    OPENING = "opening"
    FILLING = "filling"
    SWITCHING = "switching"
    CLEANING = "cleaning"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class RebuildRecord:
    """A rebuild as it is recorded; times are in microseconds since 1970, `ended_at` is 0 while it has not ended."""

    projection: str
    generation: int
    phase: RebuildPhase
    position: str
    done: int
    total: int
    epoch: int
    running: bool
    began_at: int
    ended_at: int


async def find_rebuild(tx: Transaction, projection: str) -> RebuildRecord | None:
    """Returns the last rebuild of a projection, if there was one."""
    sql = f"SELECT souk_rebuild.*, lease_until >= {tx.dialect.now} AS running FROM souk_rebuild WHERE projection = $1"
    row = await tx.fetch_one(sql, projection)
    return None if row is None else _record(row)


async def take_rebuild(tx: Transaction, projection: str, owner: str, total: int, *, anew: bool) -> bool:
    """Begins a rebuild, or goes on with one that has stopped; returns False while another owner holds it.

    With `anew` it begins again from the start in any case. `total` is about how many items there are.
    """
    await tx.lock(f"souk_rebuild {projection}")
    known, now, lease = await find_rebuild(tx, projection), tx.dialect.now, round(LEASE * MICROSECONDS)
    if known is None:
        await tx.execute(
            f"""INSERT INTO souk_rebuild (projection, generation, phase, position, done, total, owner, epoch,
                    lease_until, began_at) VALUES ($1, $2, $3, '', 0, $4, $5, 1, {now} + $6, {now})""",
            *(projection, FIRST, RebuildPhase.OPENING.value, total, owner, lease),
        )
    elif known.running:
        return False
    elif anew or known.phase is RebuildPhase.DONE:
        await tx.execute(
            f"""UPDATE souk_rebuild SET generation = generation + 1, phase = $2, position = '', done = 0, total = $3,
                    owner = $4, epoch = epoch + 1, lease_until = {now} + $5, began_at = {now}, ended_at = NULL
                WHERE projection = $1""",
            *(projection, RebuildPhase.OPENING.value, total, owner, lease),
        )
    else:
        await _take_over(tx, projection, owner)
    return True


async def take_over_rebuild(tx: Transaction, projection: str, owner: str, generation: int) -> bool:
    """Goes on with the rebuild of that generation if nobody holds it and it has not ended; returns whether it does."""
    await tx.lock(f"souk_rebuild {projection}")
    known = await find_rebuild(tx, projection)
    if known is None or known.running or known.generation != generation or known.phase is RebuildPhase.DONE:
        return False
    await _take_over(tx, projection, owner)
    return True


async def _take_over(tx: Transaction, projection: str, owner: str) -> None:
    await tx.execute(
        f"""UPDATE souk_rebuild SET owner = $2, epoch = epoch + 1, lease_until = {tx.dialect.now} + $3
            WHERE projection = $1""",
        *(projection, owner, round(LEASE * MICROSECONDS)),
    )


class HeldRebuild:
    """The writes of the owner of a rebuild, which holds it at `epoch`."""

    def __init__(self, projection: str, owner: str, epoch: int) -> None:
        self._key = (projection, epoch, owner)
        self._projection = projection

    async def hold(self, tx: Transaction) -> None:
        """Extends the lease."""
        await self._write(tx, "owner = owner")

    async def advance(self, tx: Transaction, after: str, count: int) -> None:
        """Records that `count` more items are done, up to the position `after`."""
        await self._write(tx, "position = $4, done = done + $5", after, count)

    async def enter(self, tx: Transaction, phase: RebuildPhase) -> None:
        """Records the next phase; with the last one the lease ends."""
        ends = f", ended_at = {tx.dialect.now}, lease_until = 0" if phase is RebuildPhase.DONE else ""
        await self._write(tx, f"phase = $4{ends}", phase.value, extends=not ends)

    async def release(self, tx: Transaction) -> None:
        """Ends the lease, so that the next owner need not wait for its end; nothing if it is lost already."""
        await tx.execute(
            "UPDATE souk_rebuild SET lease_until = 0 WHERE projection = $1 AND epoch = $2 AND owner = $3", *self._key
        )

    async def _write(self, tx: Transaction, change: str, *values: str | int, extends: bool = True) -> None:
        lease = f", lease_until = {tx.dialect.now} + {round(LEASE * MICROSECONDS)}" if extends else ""
        sql = f"UPDATE souk_rebuild SET {change}{lease} WHERE projection = $1 AND epoch = $2 AND owner = $3"
        if not await tx.execute(sql, *self._key, *values):
            raise LeaseLost(f"another process has taken over the rebuild of {self._projection}")


def _record(row: Row) -> RebuildRecord:
    return RebuildRecord(
        projection=row["projection"],
        generation=row["generation"],
        phase=RebuildPhase(row["phase"]),
        position=row["position"],
        done=row["done"],
        total=row["total"],
        epoch=row["epoch"],
        running=bool(row["running"]) and row["phase"] != RebuildPhase.DONE,
        began_at=row["began_at"],
        ended_at=row["ended_at"] or 0,
    )
