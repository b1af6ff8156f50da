"""The consumers of Product's own events: the cache of the catalogue, and the index of a search engine."""

from collections.abc import Mapping
from functools import partial

from shop.product.v1 import product_pb2 as pb
from soukapi.v1.event_pb2 import Event

from marketplace.product.deps import Deps
from marketplace.product.ports import ProductRefused
from marketplace.product.store import followed_indices
from marketplace.product.use_cases.index_products import ProductIndexer
from souk.sdk import Handler, PoisonedEvent, Subscription

CACHE = "catalogue-cache"
"""The consumer for changes whose process died before it could invalidate the cache."""
INDEX = "search-index"
"""The consumer that keeps the search engine's index; without an engine it records that an index missed a change."""
_TYPES = (pb.ProductChanged.DESCRIPTOR.full_name, pb.ProductDeleted.DESCRIPTOR.full_name)
SUBSCRIPTIONS = (Subscription(CACHE, _TYPES), Subscription(INDEX, _TYPES))


def consumers(deps: Deps, indexer: ProductIndexer | None) -> Mapping[str, Handler]:
    """Returns the handlers by the names of their consumers."""
    return {CACHE: partial(renew_cache, deps), INDEX: partial(index_change, deps, indexer)}


async def renew_cache(deps: Deps, event: Event) -> None:
    """Invalidates the cache."""
    await deps.cache.changed()


async def index_change(deps: Deps, indexer: ProductIndexer | None, event: Event) -> None:
    """Writes the product as it is now to the index. While the engine is unavailable the event waits.

    Without an engine, an index of before does not get it: that is recorded, once.
    """
    if indexer is None:
        if await deps.database.read(followed_indices.followed, single=True):
            await deps.database.run(followed_indices.forget_all)
        return
    try:
        await indexer.index(event.key, _version(event))
    except ProductRefused as error:
        raise PoisonedEvent(str(error)) from error


def _version(event: Event) -> int:
    if event.type == _TYPES[1]:
        deleted = pb.ProductDeleted.FromString(event.payload)
        if deleted.HasField("deleted_at"):
            return deleted.deleted_at.ToMicroseconds()
    return event.time.ToMicroseconds()
