"""Failed attempts in SQL: they survive a restart and count for every replica."""

from marketplace.user.domain.throttle import WINDOW, Attempt, seconds_to_wait
from souk.sdk import Clock, Transaction, Value, new_id

_FAILED = "SELECT at FROM login_failures WHERE {} ORDER BY at DESC LIMIT 1 OFFSET {}"
_ADD = "INSERT INTO login_failures (id, account, address, user_id, at) VALUES ($1, $2, $3, $4, $5)"
_FORGET = "DELETE FROM login_failures WHERE at <= $1"
_IS_KNOWN = "SELECT used_at FROM known_addresses WHERE user_id = $1 AND address = $2"


class AttemptStore:
    """Counts failures by account and address, durably and across replicas, in the caller's transaction."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def wait(self, tx: Transaction, attempt: Attempt) -> float | None:
        """Returns None when the attempt may be made, else the seconds until it may."""
        a, limits = attempt, attempt.limits
        both = await self._full(tx, limits.together, "account = $1 AND address = $2", a.account, a.address)
        if both is not None or await tx.fetch_one(_IS_KNOWN, a.user_id, a.address) is not None:
            return both
        return await self._full(tx, limits.account, "account = $1", a.account) or await self._full(
            tx, limits.address, "address = $1", a.address
        )

    async def fail(self, tx: Transaction, attempt: Attempt) -> float | None:
        """Counts a failure; when a limit is already reached, counts nothing and returns what `wait` returns.

        It locks the account's attempts.
        """
        await tx.lock(f"attempts:{attempt.account}")
        wait = await self.wait(tx, attempt)
        if wait is None:
            now = self._clock.now()
            who = (attempt.account, attempt.address, attempt.user_id)
            await tx.execute(_ADD, new_id("F", self._clock), *who, now)
        return wait

    async def forget_old(self, tx: Transaction) -> None:
        """Deletes failures that are too old to count."""
        await tx.execute(_FORGET, self._clock.now() - WINDOW)

    async def _full(self, tx: Transaction, limit: int | None, which: str, *values: Value) -> float | None:
        if limit is None:
            return None
        row = await tx.fetch_one(_FAILED.format(which, limit - 1), *values)
        return seconds_to_wait(None if row is None else row["at"], self._clock.now())
