"""The Analytics service: its composition root. It consumes events of Order, and calls Order only to be
rebuilt from its history.
"""

from importlib.resources import files

from shop.analytics.v1 import analytics_pb2 as pb

from marketplace.analytics.adapters.order_past import OrderPast
from marketplace.analytics.background import FactCounts
from marketplace.analytics.consumers import SUBSCRIPTIONS, consumers
from marketplace.analytics.deps import Deps
from marketplace.analytics.ports import Past
from marketplace.analytics.servicer import AnalyticsServicer
from marketplace.analytics.store.accounts import ACCOUNTS
from marketplace.analytics.use_cases.rebuild_figures import FiguresProjection
from souk.sdk import Service, ServiceContext, ServiceParts

__all__ = ["build", "service"]


async def build(context: ServiceContext, past: Past | None = None) -> ServiceParts:
    """Puts the service together; tests pass another past."""
    counts = FactCounts(context.clock)
    deps = Deps(context.database, counts.count)
    return ServiceParts(
        servicer=AnalyticsServicer(deps),
        consumers=consumers(deps),
        collectors=counts.collectors(),
        accounts=ACCOUNTS,
        projections={"figures": FiguresProjection(deps, past or OrderPast(context.channel("order")))},
    )


service = Service(
    name="analytics",
    contract=pb.DESCRIPTOR.services_by_name["AnalyticsService"],
    build=build,
    migrations=files("marketplace.analytics") / "migrations",
    subscriptions=SUBSCRIPTIONS,
    calls=("order",),
)
