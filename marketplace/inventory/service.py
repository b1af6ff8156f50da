"""The Inventory service: its composition root."""

from functools import partial
from importlib.resources import files

from shop.inventory.v1 import inventory_pb2 as pb

from marketplace.inventory.adapters.decisions import OrderDecisions
from marketplace.inventory.background import OpenReservations, tasks
from marketplace.inventory.demo import load_demo
from marketplace.inventory.deps import Deps
from marketplace.inventory.ports import NoHints, ShortageHints
from marketplace.inventory.servicer import InventoryServicer
from marketplace.inventory.store.accounts import ACCOUNTS
from marketplace.inventory.store.records import records
from marketplace.inventory.store.stock import StockStore
from souk.sdk import Service, ServiceContext, ServiceParts, TwoPhaseParticipant, TwoPhaseResolver

__all__ = ["build", "deps_of", "service"]


def deps_of(context: ServiceContext) -> Deps:
    """Makes the dependencies of the use cases for one process."""
    participant = TwoPhaseParticipant(context.database)
    return Deps(context.database, StockStore(), context.outbox, _hints(context), context.clock, participant)


async def build(context: ServiceContext) -> ServiceParts:
    """Puts the service together."""
    deps = deps_of(context)
    resolver = TwoPhaseResolver(deps.participant, OrderDecisions(partial(context.channel, "order")).decision)
    reservations = OpenReservations()
    return ServiceParts(
        servicer=InventoryServicer(deps),
        tasks=tasks(deps, resolver, reservations),
        demo=partial(load_demo, deps),
        collectors=reservations.collectors(),
        accounts=ACCOUNTS,
        records=records,
    )


def _hints(context: ServiceContext) -> ShortageHints:
    if context.redis is None:
        return NoHints()
    # Imported here, because Redis is an optional extra.
    from marketplace.inventory.adapters.redis_hints import RedisHints

    return RedisHints(context.redis, context.clock)


service = Service(
    name="inventory",
    contract=pb.DESCRIPTOR.services_by_name["InventoryService"],
    build=build,
    migrations=files("marketplace.inventory") / "migrations",
    calls=("order",),
)
