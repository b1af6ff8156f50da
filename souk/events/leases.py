"""Leases on the outbox's partitions, which the relays of one database share evenly.

Each take-over raises the partition's fencing epoch; a relay cannot record results under an older epoch.
Leases are measured by the database's clock. Source: Martin Kleppmann, "How to do distributed locking".
"""

from collections.abc import Callable, Collection

from souk.kernel.clock import MICROSECONDS, Clock
from souk.store.database import Database, Row, Transaction
from souk.store.outbox import PARTITIONS


class Leases:
    """The leases of one relay, `owner`; a lease lasts `duration` seconds unless it is renewed."""

    def __init__(self, database: Database, owner: str, clock: Clock, duration: float) -> None:
        self._database = database
        self._owner = owner
        self._clock = clock
        self._duration = duration
        self._held: dict[int, int] = {}
        self._until = float("-inf")

    @property
    def held(self) -> dict[int, int]:
        """The epochs of the held partitions; empty when the leases could not be renewed in time."""
        return self._held if self._clock.monotonic() < self._until else {}

    def forget(self, partitions: Collection[int]) -> None:
        """Stops using partitions that another relay has taken over."""
        for partition in partitions:
            self._held.pop(partition, None)

    async def renew(self, busy: Callable[[], Collection[int]]) -> bool:
        """Renews the held leases, takes free partitions, and gives up those beyond a fair share.

        Partitions that are `busy` are not given up, so that their order is kept. Returns whether
        new partitions were taken.
        """
        asked = self._clock.monotonic()
        before = set(self._held)
        # Guarded by the lock that it takes first.
        held, share = await self._database.run(self._renew, guarded=True)
        # Changed in place, as a delivery may have read the same dict just now.
        self._held.clear()
        self._held.update(held)
        # Counted from before the request, so that it ends before the lease in the database, which began later.
        self._until = asked + self._duration
        await self._give_up(len(held) - share, busy())
        return not before >= set(self._held)

    async def release(self) -> None:
        """Gives up all partitions, so that the next relay does not wait for the leases to end."""
        self._held.clear()

        async def work(tx: Transaction) -> None:
            await tx.execute("UPDATE souk_outbox_lease SET owner = '', until = 0 WHERE owner = $1", self._owner)
            await tx.execute("DELETE FROM souk_outbox_relay WHERE owner = $1", self._owner)

        await self._database.run(work)

    async def _renew(self, tx: Transaction) -> tuple[dict[int, int], int]:
        await tx.lock("souk_outbox_lease")
        now, span = tx.dialect.now, round(self._duration * MICROSECONDS)
        await tx.execute(f"DELETE FROM souk_outbox_relay WHERE until < {now}")
        heartbeat = f"""
            INSERT INTO souk_outbox_relay (owner, until) VALUES ($1, {now} + $2)
            ON CONFLICT (owner) DO UPDATE SET until = {now} + $2
        """
        await tx.execute(heartbeat, self._owner, span)
        alive = await tx.fetch("SELECT owner FROM souk_outbox_relay")
        share = -(-PARTITIONS // len(alive))
        renew = f"UPDATE souk_outbox_lease SET until = {now} + $2 WHERE owner = $1 RETURNING partition, epoch"
        rows = await tx.fetch(renew, self._owner, span)
        rows += await self._take(tx, share - len(rows), span)
        return {row["partition"]: row["epoch"] for row in rows}, share

    async def _take(self, tx: Transaction, count: int, span: int) -> list[Row]:
        if count <= 0:
            return []
        known = await tx.fetch_one("SELECT partition FROM souk_outbox_lease LIMIT 1")
        if known is None:
            fresh = "INSERT INTO souk_outbox_lease (partition, owner, epoch, until) VALUES ($1, '', 0, 0)"
            await tx.execute_many(fresh, [(partition,) for partition in range(PARTITIONS)])
        take = f"""
            UPDATE souk_outbox_lease SET owner = $1, epoch = epoch + 1, until = {tx.dialect.now} + $2
            WHERE partition IN (
                SELECT partition FROM souk_outbox_lease WHERE until < {tx.dialect.now} ORDER BY partition LIMIT $3
            ) RETURNING partition, epoch
        """
        return await tx.fetch(take, self._owner, span, count)

    async def _give_up(self, surplus: int, busy: Collection[int]) -> None:
        chosen = sorted(set(self._held) - set(busy))[: max(surplus, 0)]
        if not chosen:
            return
        # Forgotten here first, so that no delivery starts on them, and only then given up in the database.
        self.forget(chosen)

        async def work(tx: Transaction) -> None:
            sql = "UPDATE souk_outbox_lease SET owner = '', until = 0 WHERE owner = $1 AND partition = $2"
            for partition in chosen:
                await tx.execute(sql, self._owner, partition)

        await self._database.run(work)


async def end_leases(tx: Transaction) -> None:
    """Ends all leases on this database. Only for a process that knows that no other one uses it."""
    await tx.execute("UPDATE souk_outbox_lease SET owner = '', until = 0")
    await tx.execute("DELETE FROM souk_outbox_relay")
