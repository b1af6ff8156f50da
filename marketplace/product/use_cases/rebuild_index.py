"""Building the search engine's index anew, while searches go on in the old one and changes reach both."""

from functools import partial

from marketplace.product.deps import Deps
from marketplace.product.ports import SearchEngine
from marketplace.product.store import followed_indices
from marketplace.product.use_cases.index_products import BATCH, index_change_of
from souk.sdk import Comparison, RebuildBatch, RebuildRun


class SearchIndexProjection:
    """Implements `Projection`: the index of the catalogue. The position of a batch is the id of its last product."""

    def __init__(self, deps: Deps, engine: SearchEngine) -> None:
        self._deps, self._engine = deps, engine

    async def count(self) -> int:
        return await self._deps.database.read(self._deps.products.count, long=True)

    async def open(self, run: RebuildRun) -> None:
        await run.still_held()
        name = await self._engine.begin(run.generation)
        # A change that reached no index until now is read with the products.
        await self._deps.database.run(lambda tx: followed_indices.follow(tx, name))

    async def batch(self, run: RebuildRun, after: str) -> RebuildBatch | None:
        read = partial(self._deps.products.page, after=after, limit=BATCH)
        products = await self._deps.database.read(read, single=True)
        if not products:
            return None
        last = products[-1].id
        await run.still_held()
        await self._engine.fill([index_change_of(one.id, one.updated_at, one) for one in products])
        return RebuildBatch(last, len(products))

    async def switch(self, run: RebuildRun) -> None:
        await run.still_held()
        await self._engine.switch(run.generation)
        if (live := await self._engine.live()) is not None:
            await self._deps.database.run(lambda tx: followed_indices.forget_others(tx, live))

    async def clean(self, run: RebuildRun) -> None:
        """Does nothing: the switch deletes the old index."""

    async def compare(self, after: str) -> Comparison | None:
        """Compares the versions of products with those in the index."""
        read = partial(self._deps.products.page, after=after, limit=BATCH)
        products = await self._deps.database.read(read, single=True)
        if not products:
            return None
        indexed = await self._engine.versions([one.id for one in products])
        found = [
            f"{one.id}: {_difference(one.updated_at, indexed.get(one.id))}"
            for one in products
            if indexed.get(one.id) != one.updated_at
        ]
        return Comparison(products[-1].id, len(products), found)


def _difference(version: int, indexed: int | None) -> str:
    if indexed is None:
        return "is not in the index, or not yet"
    if indexed < version:
        return "is in the index as it was before its last change, or not yet"
    return "is in the index as it was after a change that the catalogue does not have"
