"""The database's clock, for use in a process: decisions by the date do not depend on the machine's own clock.

The database is asked for its time now and then. Between two answers the time goes on from the best answer by the
process's monotonic clock. The best answer is the one with the shortest round trip, of which half is the greatest
error.
"""

from dataclasses import dataclass

from souk.kernel.clock import MICROSECONDS, Clock
from souk.store.database import Database, Transaction

_LONGEST_USE = 60.0
"""Seconds after which an answer gives way to any newer one, because the clocks may have drifted apart."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """The database's time `now`, in microseconds since 1970, when the monotonic clock was `at`; to `error` seconds."""

    now: int
    at: float
    error: float


class DatabaseClock:
    """Implements `Clock` by a database server's clock. `ask` must have been awaited once before the first reading."""

    def __init__(self, own: Clock, database: Database) -> None:
        self._own, self._database = own, database
        self._best: _Reading | None = None

    def now(self) -> int:
        return self._at(self._own.monotonic())

    def monotonic(self) -> float:
        return self._own.monotonic()

    @property
    def ahead(self) -> float:
        """How many seconds the machine's clock is ahead of the database's; negative when it is behind."""
        return (self._own.now() - self.now()) / MICROSECONDS

    async def ask(self) -> None:
        """Asks the database for its time. Raises StoreError when it does not answer."""
        began = self._own.monotonic()
        now = await self._database.read(_now, single=True)
        ended = self._own.monotonic()
        self._take(_Reading(now, (began + ended) / 2, (ended - began) / 2))

    def _take(self, new: _Reading) -> None:
        best = self._best
        if best is None or new.error <= best.error or new.at - best.at > _LONGEST_USE or self._contradicts(best, new):
            self._best = new

    def _contradicts(self, best: _Reading, new: _Reading) -> bool:
        """Whether the two readings cannot both be right: the database's clock was set, or this process was stopped."""
        return abs(new.now - self._at(new.at)) > (best.error + new.error) * MICROSECONDS

    def _at(self, at: float) -> int:
        assert self._best is not None, "the database's clock is read before it was asked"
        return self._best.now + round((at - self._best.at) * MICROSECONDS)


async def _now(tx: Transaction) -> int:
    row = await tx.fetch_one(f"SELECT {tx.dialect.now} AS now")
    assert row is not None, "a SELECT without FROM gives a row"
    return int(row["now"])
