"""Background tasks of Product, and their metrics.

souk_product_searches_total{backend,reason}    searches by who answered, and why it was not the engine
souk_product_index_lag_seconds                 from the oldest change of the last request to the index to its end
souk_product_index_current                     1 if the index that is searched has had every change, else 0

What waits for the index is in souk_outbox_events and souk_outbox_lag_seconds, of the consumer product/search-index.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from marketplace.product.deps import Deps
from marketplace.product.ports import ProductRefused, SearchEngine, SearchUnavailable
from marketplace.product.store import followed_indices
from marketplace.product.use_cases.index_products import ProductIndexer
from souk.sdk import Collector, MeasuredAtScrape, Rebuild, RebuildHeld, RebuildStep, counter, logger

CHECK_INTERVAL = 2.0
"""Seconds between two checks of the index."""

_log = logger("product")


class SearchMetrics:
    """Counts searches."""

    def __init__(self) -> None:
        text = "Searches, by who answered and, if the database had to, why."
        self._counter = counter("souk_product_searches", text, ("backend", "reason"))

    def count(self, backend: str, reason: str) -> None:
        """Counts one search."""
        self._counter.labels(backend, reason).inc()

    def collectors(self, indexer: ProductIndexer | None, keeper: "IndexKeeper | None") -> Sequence[Collector]:
        """Returns the collectors to register."""
        if indexer is None or keeper is None:
            return (self._counter,)
        text = "Seconds from the oldest change of the last request to the index to its end."
        lag = MeasuredAtScrape("souk_product_index_lag_seconds", text, (), lambda: [({}, indexer.lag)])
        text = "1 if the index that is searched has had every change, else 0."
        current = MeasuredAtScrape("souk_product_index_current", text, (), lambda: [({}, int(keeper.is_current))])
        return (self._counter, lag, current)


class IndexKeeper:
    """Builds the index when the engine has none, and anew when a change has not reached it, as without SOUK_SEARCH.

    It works as `souk rebuild` does, under the lease of the same `rebuild`: one process builds, and searches go on in
    the old index meanwhile. `is_current` says whether the index that is searched has had every change.
    """

    def __init__(self, deps: Deps, engine: SearchEngine, rebuild: Rebuild) -> None:
        self._deps, self._engine, self._rebuild = deps, engine, rebuild
        self.is_current = False

    async def run(self, indexer: ProductIndexer) -> None:
        """Looks after the index until it is cancelled; then closes the engine."""
        try:
            while True:
                try:
                    await self.check()
                except (SearchUnavailable, ProductRefused) as error:
                    _log.warning("the search index cannot be built now", engine=self._engine.name, error=str(error))
                except RebuildHeld:
                    _log.info("another process builds the search index", engine=self._engine.name)
                await asyncio.sleep(CHECK_INTERVAL)
        finally:
            await indexer.close()
            await self._engine.close()

    async def check(self) -> None:
        """Checks once. Raises SearchUnavailable, ProductRefused, and RebuildHeld while another process builds."""
        live = await self._engine.live()
        followed = await self._deps.database.read(followed_indices.followed, single=True)
        self.is_current = live in followed
        if self.is_current:
            return
        # What was begun is gone on with if it has had every change since.
        anew = await self._engine.building() not in followed
        async with aclosing(self._rebuild.run(anew=anew)) as steps:
            await self._follow(steps, "the engine has none" if live is None else "it has not had every change")

    async def _follow(self, steps: AsyncIterator[RebuildStep], why: str) -> None:
        ours = None
        async for step in steps:
            if ours is None and not step.joined:
                _log.warning("the search index is built", engine=self._engine.name, why=why)
            ours = None if step.joined else step.record
        if ours is not None:
            _log.info("the search index was built", engine=self._engine.name, products=ours.done)
