"""The dependencies of Product's use cases, put together once by the composition root."""

from dataclasses import dataclass

from marketplace.product.store.products import ProductStore
from souk.sdk import Clock, ReadCache


@dataclass(frozen=True, slots=True)
class Deps:
    """The store, the cache of answers to buyers, and the clock."""

    products: ProductStore
    cache: ReadCache
    clock: Clock
