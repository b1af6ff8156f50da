"""The dependencies of Product's use cases, put together once by the composition root."""

from dataclasses import dataclass
from typing import TypeVar

from marketplace.product.ports import SearchEngine
from marketplace.product.store.products import ProductStore
from souk.sdk import Clock, Database, ReadCache, Work

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Deps:
    """The database, the store, the cache of answers to buyers, the clock, and the search engine if there is one."""

    database: Database
    products: ProductStore
    cache: ReadCache
    clock: Clock
    engine: SearchEngine | None = None

    async def run(self, work: Work[T]) -> T:
        """Runs a transaction that is guarded by the product's row: docs/decisions/0002-isolation.md."""
        return await self.database.run(work, guarded=True)
