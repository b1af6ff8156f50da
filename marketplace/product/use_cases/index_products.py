"""Keeping the search engine's index: changed products, one by one."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from marketplace.product.deps import Deps
from marketplace.product.domain.products import Product
from marketplace.product.ports import IndexChange, SearchEngine
from souk.sdk import MICROSECONDS

BATCH = 500


@dataclass
class Waiting:
    """A change that waits to be written: its version, and who waits for it."""

    version: int
    ends: list["asyncio.Future[None]"] = field(default_factory=list)


class ProductIndexer:
    """Writes changed products to the index as they are now in the database: no older event brings back what was.

    What changes while a request is under way goes into the next one together. `lag` is the seconds from the oldest
    change of the last request to its end.
    """

    def __init__(self, deps: Deps, engine: SearchEngine) -> None:
        self._deps, self._engine = deps, engine
        self._waiting: dict[str, Waiting] = {}
        self._writing: asyncio.Task[None] | None = None
        self.lag = 0.0

    async def index(self, product_id: str, version: int) -> None:
        """Writes a product. `version` is the time of the change in microseconds: that of a product that is gone.

        Raises SearchUnavailable, and ProductRefused.
        """
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(product_id, Waiting(version))
        waiting.version = max(waiting.version, version)
        waiting.ends.append(end)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
        await end

    async def close(self) -> None:
        """Waits for the request under way."""
        if self._writing is not None:
            await asyncio.wait([self._writing])

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, {}
            try:
                refused = await self._write(batch)
            except Exception as error:  # whoever waits is told
                refused = dict.fromkeys(batch, error)
            for product_id, waiting in batch.items():
                for end in waiting.ends:
                    if not end.done():
                        _finish(end, refused[product_id])

    async def _write(self, batch: Mapping[str, Waiting]) -> Mapping[str, Exception | None]:
        ids = list(batch)
        found = await self._deps.database.read(lambda tx: self._deps.products.find(tx, ids), single=True)
        products = {product.id: product for product in found}
        changes = [index_change_of(one, waiting.version, products.get(one)) for one, waiting in batch.items()]
        ends = await self._engine.write(changes)
        oldest = min(waiting.version for waiting in batch.values())
        self.lag = max(0.0, (self._deps.clock.now() - oldest) / MICROSECONDS)
        return dict(zip(ids, ends, strict=True))


def index_change_of(product_id: str, version: int, product: Product | None) -> IndexChange:
    """Makes the change that writes a product as it is; `version` is that of one that is gone."""
    return IndexChange(product_id, version if product is None else product.updated_at, product)


def _finish(end: "asyncio.Future[None]", error: Exception | None) -> None:
    if error is None:
        end.set_result(None)
    else:
        end.set_exception(error)
