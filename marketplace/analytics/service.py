"""The Analytics service: its composition root. It consumes events of Order and calls no other service."""

from importlib.resources import files

from shop.analytics.v1 import analytics_pb2 as pb

from marketplace.analytics.background import FactCounts
from marketplace.analytics.consumers import SUBSCRIPTIONS, consumers
from marketplace.analytics.deps import Deps
from marketplace.analytics.servicer import AnalyticsServicer
from souk.sdk import Service, ServiceContext, ServiceParts

__all__ = ["build", "service"]


async def build(context: ServiceContext) -> ServiceParts:
    """Puts the service together."""
    counts = FactCounts(context.clock)
    deps = Deps(context.database, counts.count)
    return ServiceParts(servicer=AnalyticsServicer(deps), consumers=consumers(deps), collectors=counts.collectors())


service = Service(
    name="analytics",
    contract=pb.DESCRIPTOR.services_by_name["AnalyticsService"],
    build=build,
    migrations=files("marketplace.analytics") / "migrations",
    subscriptions=SUBSCRIPTIONS,
)
