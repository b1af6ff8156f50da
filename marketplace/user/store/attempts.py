"""Wrong passwords in SQL: they outlive a restart, and count for every replica."""

from marketplace.user.throttle import LIMIT, WINDOW, seconds_to_wait
from souk.kernel.clock import Clock
from souk.kernel.ids import new_id
from souk.store.database import Database, Transaction

_LATEST = f"SELECT at FROM login_failures WHERE account = $1 ORDER BY at DESC LIMIT {LIMIT}"
_ADD = "INSERT INTO login_failures (id, account, at) VALUES ($1, $2, $3)"
_FORGET = "DELETE FROM login_failures WHERE at <= $1"


class AttemptStore:
    """The port Attempts, over one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def wait(self, key: str) -> float | None:
        return await self._database.read(lambda tx: self._wait(tx, key))

    async def fail(self, key: str) -> float | None:
        async def work(tx: Transaction) -> float | None:
            await tx.lock(f"attempts:{key}")
            wait = await self._wait(tx, key)
            if wait is None:
                now = self._clock.now()
                await tx.execute(_FORGET, now - WINDOW)
                await tx.execute(_ADD, new_id("F", self._clock), key, now)
            return wait

        # The lock guards it. Watched reads of so small a table would collide with other accounts' failures.
        return await self._database.run(work, guarded=True)

    async def _wait(self, tx: Transaction, key: str) -> float | None:
        rows = await tx.fetch(_LATEST, key)
        return seconds_to_wait([row["at"] for row in rows], self._clock.now())
