"""A circuit breaker around the searches in an engine: while they fail, the database is asked at once."""

from collections.abc import Mapping, Sequence

from marketplace.product.adapters.search.transport import NO_INDEX, REFUSED
from marketplace.product.domain.products import Cursor, Search
from marketplace.product.ports import EnginePage, IndexChange, ProductRefused, SearchEngine, SearchUnavailable
from souk.sdk import Backoff, Breaker, BreakerSettings, Clock

BREAKER = BreakerSettings(
    failure_rate=0.5, window=20, minimum_calls=5, probes=2, open_for=Backoff(2.0, 30.0, jitter=0.0)
)
"""No answer and one that says that the engine is not well count as failures."""
BREAKER_OPEN = "breaker-open"
_ANSWERED = frozenset({NO_INDEX, REFUSED})
"""An answer at once that refuses is no failure."""


class GuardedEngine:
    """Implements `ports.SearchEngine` by another one. What writes waits for the engine, and needs no breaker."""

    def __init__(self, engine: SearchEngine, breaker: Breaker, clock: Clock) -> None:
        self.name = engine.name
        self._engine, self._breaker, self._clock = engine, breaker, clock

    async def search(self, wanted: Search, after: Cursor | None, limit: int) -> EnginePage:
        """Searches, unless the breaker is open."""
        begun = self._clock.monotonic()
        permit = self._breaker.acquire(begun)
        if permit is None:
            raise SearchUnavailable(BREAKER_OPEN, "the search engine is not called for now, because searches failed")
        try:
            found = await self._engine.search(wanted, after, limit)
        except SearchUnavailable as error:
            now = self._clock.monotonic()
            end = permit.succeed if error.reason in _ANSWERED else permit.fail
            end(now, now - begun)
            raise
        except BaseException:
            permit.ignore(self._clock.monotonic())
            raise
        now = self._clock.monotonic()
        permit.succeed(now, now - begun)
        return found

    async def write(self, changes: Sequence[IndexChange]) -> Sequence[ProductRefused | None]:
        """Writes changes."""
        return await self._engine.write(changes)

    async def versions(self, product_ids: Sequence[str]) -> Mapping[str, int]:
        """Returns the versions in the index."""
        return await self._engine.versions(product_ids)

    async def live(self) -> str | None:
        """Returns the name of the index that is searched."""
        return await self._engine.live()

    async def building(self) -> str | None:
        """Returns the name of the index that is being built."""
        return await self._engine.building()

    async def begin(self, generation: int) -> str:
        """Makes a new index."""
        return await self._engine.begin(generation)

    async def fill(self, changes: Sequence[IndexChange]) -> None:
        """Writes to the new index."""
        await self._engine.fill(changes)

    async def switch(self, generation: int) -> None:
        """Searches the new index from now on."""
        await self._engine.switch(generation)

    async def close(self) -> None:
        """Closes the engine."""
        await self._engine.close()
