"""The consumer of Product's own events: it invalidates the cache of the catalogue."""

from collections.abc import Mapping
from functools import partial

from shop.product.v1 import product_pb2 as pb
from soukapi.v1.event_pb2 import Event

from marketplace.product.deps import Deps
from souk.sdk import Handler, Subscription

CACHE = "catalogue-cache"
"""The consumer for changes whose process died before it could invalidate the cache."""
SUBSCRIPTIONS = (Subscription(CACHE, (pb.ProductChanged.DESCRIPTOR.full_name, pb.ProductDeleted.DESCRIPTOR.full_name)),)


def consumers(deps: Deps) -> Mapping[str, Handler]:
    """Returns the handlers by the names of their consumers."""
    return {CACHE: partial(renew_cache, deps)}


async def renew_cache(deps: Deps, event: Event) -> None:
    """Invalidates the cache."""
    await deps.cache.changed()
