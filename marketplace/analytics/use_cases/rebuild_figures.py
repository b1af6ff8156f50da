"""Building the figures anew from the past, while new facts are counted and the old figures are read."""

from functools import partial

from marketplace.analytics.deps import Deps
from marketplace.analytics.ports import Past
from marketplace.analytics.store.comparison import wrong_facts, wrong_sums
from souk.sdk import Comparison, RebuildBatch, RebuildRun, Transaction

DELETED_AT_ONCE = 500
_TOTALS = "totals"
"""The position behind all orders in a comparison: what is left are the sums."""


class FiguresProjection:
    """Implements `Projection`: a generation of facts and figures. A position is one of the past.

    A fact is counted in the new generation once, whether it comes from the past, as an event, or both.
    """

    def __init__(self, deps: Deps, past: Past) -> None:
        self._deps = deps
        self._past = past

    async def count(self) -> int:
        return await self._past.count()

    async def open(self, run: RebuildRun) -> None:
        await self._deps.figures.generations.open(self._deps.database, run)

    async def batch(self, run: RebuildRun, after: str) -> RebuildBatch | None:
        page = await self._past.page(after)
        if page is None:
            return None
        write = partial(self._deps.figures.fill, generation=run.generation, facts=page.facts)
        return RebuildBatch(page.after, page.orders, write)

    async def switch(self, run: RebuildRun) -> None:
        await self._deps.figures.generations.switch(self._deps.database, run)

    async def clean(self, run: RebuildRun) -> None:
        async def some(tx: Transaction) -> int:
            await run.hold(tx)
            return await self._deps.figures.delete_old(tx, DELETED_AT_ONCE)

        while await self._deps.database.run(some, guarded=True):
            pass

    async def compare(self, after: str) -> Comparison | None:
        """Compares facts with the past, order by order, and at the end what they add up to with the figures."""
        if after == _TOTALS:
            return None
        order_id, _, position = after.partition("|")  # the last order of which there were facts, and where in the past
        page = await self._past.page(position)
        read = self._deps.database.read
        if page is None:
            return Comparison(_TOTALS, 0, await read(wrong_sums, long=True))
        last = page.facts[-1].order_id if page.facts else order_id
        found = await read(partial(wrong_facts, after=order_id, last=last, facts=page.facts))
        return Comparison(f"{last}|{page.after}", page.orders, found)
