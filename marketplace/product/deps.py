"""What every use case of Product works with, put together once by the composition root."""

from dataclasses import dataclass

from marketplace.product.store.products import ProductStore
from souk.sdk import Clock, ReadCache


@dataclass(frozen=True, slots=True)
class Deps:
    """The store, the cache of what buyers are shown, and the clock."""

    products: ProductStore
    cache: ReadCache
    clock: Clock
