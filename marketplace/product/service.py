"""The Product service: its composition root."""

from functools import partial
from importlib.resources import files

from shop.product.v1 import product_pb2 as pb

from marketplace.product.consumers import SUBSCRIPTIONS, consumers
from marketplace.product.demo import load_demo
from marketplace.product.deps import Deps
from marketplace.product.servicer import ProductServicer
from marketplace.product.settings import SETTINGS, read_settings
from marketplace.product.store.products import ProductStore
from souk.runtime.service import Host, Parts, Service
from souk.store.cache.read_cache import ReadCache

__all__ = ["build", "service"]


async def build(host: Host) -> Parts:
    """Puts the service together."""
    settings = read_settings(host.settings)
    alone = host.database.dialect.name == "sqlite"
    cache = ReadCache(host.name, host.clock, host.redis, alone=alone, settings=settings.cache)
    deps = Deps(ProductStore(host.database, host.outbox), cache, host.clock)
    return Parts(
        servicer=ProductServicer(deps),
        consumers=consumers(deps),
        tasks={"catalogue cache": cache.run},
        demo=partial(load_demo, deps),
    )


service = Service(
    name="product",
    contract=pb.DESCRIPTOR.services_by_name["ProductService"],
    build=build,
    migrations=files("marketplace.product") / "migrations",
    settings=SETTINGS,
    subscriptions=SUBSCRIPTIONS,
)
