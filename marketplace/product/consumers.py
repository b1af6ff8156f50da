"""What follows from the events that Product hears: its own."""

from collections.abc import Mapping
from functools import partial

from shop.product.v1 import product_pb2 as pb
from soukapi.v1.event_pb2 import Event

from marketplace.product.deps import Deps
from souk.sdk import Handler, Subscription

CACHE = "catalogue-cache"
"""The consumer that hears of changes whose own process died before it could say that the cache is stale."""
SUBSCRIPTIONS = (Subscription(CACHE, (pb.ProductChanged.DESCRIPTOR.full_name, pb.ProductDeleted.DESCRIPTOR.full_name)),)


def consumers(deps: Deps) -> Mapping[str, Handler]:
    """The handlers by the names of their consumers."""
    return {CACHE: partial(renew_cache, deps)}


async def renew_cache(deps: Deps, event: Event) -> None:
    """Says that what the cache holds is stale."""
    await deps.cache.changed()
