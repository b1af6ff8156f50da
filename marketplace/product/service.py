"""The Product service: its composition root."""

from collections.abc import Awaitable, Callable
from functools import partial
from importlib.resources import files

from shop.product.v1 import product_pb2 as pb

from marketplace.product.adapters.search.by_url import open_engine
from marketplace.product.adapters.search.guarded import BREAKER, GuardedEngine
from marketplace.product.background import IndexKeeper, SearchMetrics
from marketplace.product.consumers import SUBSCRIPTIONS, consumers
from marketplace.product.demo import load_demo
from marketplace.product.deps import Deps
from marketplace.product.ports import SearchEngine
from marketplace.product.servicer import ProductServicer
from marketplace.product.settings import SETTINGS, ProductSettings, read_settings
from marketplace.product.store.products import ProductStore
from marketplace.product.use_cases.index_products import ProductIndexer
from marketplace.product.use_cases.rebuild_index import SearchIndexProjection
from souk.sdk import Breaker, ReadCache, Rebuild, Service, ServiceContext, ServiceParts

__all__ = ["build", "service"]

SEARCH_INDEX = "search-index"
"""The projection by which `souk rebuild` knows the index."""


async def build(context: ServiceContext) -> ServiceParts:
    """Puts the service together."""
    settings = read_settings(context.settings)
    alone = context.database.dialect.name == "sqlite"
    cache = ReadCache(
        context.name, context.clock, context.redis, alone=alone, settings=settings.cache, tracer=context.tracer
    )
    breaker = Breaker(BREAKER)
    engine = _engine(context, settings, breaker)
    deps = Deps(context.database, ProductStore(context.outbox), cache, context.clock, engine)
    indexer = None if engine is None else ProductIndexer(deps, engine)
    metrics = SearchMetrics()
    tasks: dict[str, Callable[[], Awaitable[None]]] = {"catalogue cache": cache.run}
    projection = keeper = None
    if engine is not None and indexer is not None:
        projection = SearchIndexProjection(deps, engine)
        keeper = IndexKeeper(deps, engine, Rebuild(f"{context.name}.{SEARCH_INDEX}", projection, context.database))
        tasks["search index"] = partial(keeper.run, indexer)
    return ServiceParts(
        servicer=ProductServicer(deps, metrics.count),
        consumers=consumers(deps, indexer),
        tasks=tasks,
        demo=partial(load_demo, deps),
        breakers={} if engine is None else {"search-engine": breaker},
        collectors=(*metrics.collectors(indexer, keeper), cache),
        projections={} if projection is None else {SEARCH_INDEX: projection},
    )


def _engine(context: ServiceContext, settings: ProductSettings, breaker: Breaker) -> SearchEngine | None:
    if context.search is None:
        return None
    return GuardedEngine(open_engine(context.search, settings.synonyms), breaker, context.clock)


service = Service(
    name="product",
    contract=pb.DESCRIPTOR.services_by_name["ProductService"],
    build=build,
    migrations=files("marketplace.product") / "migrations",
    settings=SETTINGS,
    subscriptions=SUBSCRIPTIONS,
)
