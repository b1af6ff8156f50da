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
from souk.sdk import ReadCache, Service, ServiceContext, ServiceParts

__all__ = ["build", "service"]


async def build(context: ServiceContext) -> ServiceParts:
    """Puts the service together."""
    settings = read_settings(context.settings)
    alone = context.database.dialect.name == "sqlite"
    cache = ReadCache(context.name, context.clock, context.redis, alone=alone, settings=settings.cache)
    deps = Deps(context.database, ProductStore(context.outbox), cache, context.clock)
    return ServiceParts(
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
