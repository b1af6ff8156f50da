"""The Order service: its composition root.

Read on in `servicer.py`, `use_cases/place_order.py`, `domain/order.py`, then `saga/place_order.py`.
"""

from functools import partial
from importlib.resources import files

from shop.order.v1 import order_pb2 as pb

from marketplace.order.adapters.lookups import ProductCatalogue, UserAddressBook
from marketplace.order.adapters.payments import ServicePayments
from marketplace.order.adapters.stock import InventoryStock
from marketplace.order.background import DifferingOrders, LostCharges, tasks
from marketplace.order.consumers import SUBSCRIPTIONS, consumers
from marketplace.order.deps import Deps
from marketplace.order.ports import Payments
from marketplace.order.saga.order_sagas import OrderSagas
from marketplace.order.servicer import OrderServicer
from marketplace.order.settings import SETTINGS, PlacingSettings, read_settings
from marketplace.order.store.history import OrderHistory
from marketplace.order.store.orders import OrderStore
from marketplace.order.store.projection import ReadModelProjection
from marketplace.order.store.read_model import READ_MODEL
from marketplace.order.use_cases.find_lost_charges import FindLostCharges
from souk.sdk import Saga, SagaRunner, SagaSettings, Service, ServiceContext, ServiceParts

__all__ = ["build", "service"]

DRAIN = 2.0
"""Seconds that running sagas may go on when the process stops; the rest is resumed at the next start."""


async def build(context: ServiceContext) -> ServiceParts:
    """Puts the service together."""
    settings = read_settings(context.settings)
    orders = OrderStore(context.outbox, context.clock)
    payments = ServicePayments(context.channel("payment"))
    deps = Deps(
        database=context.database,
        orders=orders,
        catalogue=ProductCatalogue(context.channel("product")),
        addresses=UserAddressBook(context.channel("user")),
        payments=payments,
        runner=_runner(context, orders, payments, settings.placing),
        clock=context.clock,
        inbox=context.inbox,
    )
    lost, differing = LostCharges(), DifferingOrders()
    find = FindLostCharges(lost.count, report_only=settings.lost_charges.report_only)
    return ServiceParts(
        servicer=OrderServicer(deps),
        consumers=consumers(deps),
        tasks=tasks(deps, find, differing),
        drain=partial(deps.runner.close, DRAIN),
        sagas=deps.runner,
        collectors=(*lost.collectors(find.progress), *differing.collectors()),
        projections={READ_MODEL: ReadModelProjection(context.database, orders.read_model)},
        history=OrderHistory(context.database, context.name),
    )


def _runner(context: ServiceContext, orders: OrderStore, payments: Payments, settings: PlacingSettings) -> SagaRunner:
    def run(sagas: tuple[Saga, ...]) -> SagaRunner:
        owner, numbers = context.instance, SagaSettings()
        return SagaRunner(context.database, sagas, context.clock, owner, numbers, context.faults, service=context.name)

    return OrderSagas(orders, InventoryStock(context.channel("inventory")), payments, settings.deadline, run).runner


service = Service(
    name="order",
    contract=pb.DESCRIPTOR.services_by_name["OrderService"],
    build=build,
    migrations=files("marketplace.order") / "migrations",
    settings=SETTINGS,
    subscriptions=SUBSCRIPTIONS,
)
