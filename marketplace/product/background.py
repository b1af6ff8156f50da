"""Background tasks of Product, and their metrics.

souk_product_searches_total{backend,reason}    searches by who answered, and why it was not the engine
souk_product_index_lag_seconds                 from the oldest change of the last request to the index to its end

What waits for the index is in souk_outbox_events and souk_outbox_lag_seconds, of the consumer product/search-index.
"""

import asyncio
from collections.abc import Sequence

from marketplace.product.deps import Deps
from marketplace.product.ports import ProductRefused, SearchEngine, SearchUnavailable
from marketplace.product.use_cases.index_products import ProductIndexer, reindex_products
from souk.sdk import Collector, MeasuredAtScrape, counter, logger

CHECK_INTERVAL = 2.0
"""Seconds between two looks whether the engine has an index."""

_log = logger("product")


class SearchMetrics:
    """Counts searches."""

    def __init__(self) -> None:
        text = "Searches, by who answered and, if the database had to, why."
        self._counter = counter("souk_product_searches", text, ("backend", "reason"))

    def count(self, backend: str, reason: str) -> None:
        """Counts one search."""
        self._counter.labels(backend, reason).inc()

    def collectors(self, indexer: ProductIndexer | None) -> Sequence[Collector]:
        """Returns the collectors to register."""
        if indexer is None:
            return (self._counter,)
        text = "Seconds from the oldest change of the last request to the index to its end."
        lag = MeasuredAtScrape("souk_product_index_lag_seconds", text, (), lambda: [({}, indexer.lag)])
        return (self._counter, lag)


async def keep_index(deps: Deps, engine: SearchEngine, indexer: ProductIndexer) -> None:
    """Builds the index whenever the engine has none, until it is cancelled; then closes the engine."""
    try:
        while True:
            await _build_if_missing(deps, engine)
            await asyncio.sleep(CHECK_INTERVAL)
    finally:
        await indexer.close()
        await engine.close()


async def _build_if_missing(deps: Deps, engine: SearchEngine) -> None:
    try:
        if not await engine.exists():
            count = await reindex_products(deps, engine)
            _log.info("the search index was built", engine=engine.name, products=count)
    except (SearchUnavailable, ProductRefused) as error:
        _log.warning("the search index cannot be built now", engine=engine.name, error=str(error))
