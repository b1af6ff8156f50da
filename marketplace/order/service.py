"""The Order service: its composition root.

Read on in `servicer.py`, `use_cases/place_order.py`, `domain/order.py`, then `saga/place_order.py`.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from importlib.resources import files

from shop.order.v1 import order_pb2 as pb

from marketplace.order.adapters.lookups import ProductCatalogue, UserAddressBook
from marketplace.order.adapters.payments import PaymentTransactions, ServicePayments
from marketplace.order.adapters.stock import InventoryStock, InventoryTransactions
from marketplace.order.background import DifferingOrders, LostCharges, tasks
from marketplace.order.consumers import SUBSCRIPTIONS, consumers
from marketplace.order.deps import Deps
from marketplace.order.ports import Payments
from marketplace.order.saga.order_sagas import OrderSagas
from marketplace.order.saga.outcomes import PlacingOutcomes
from marketplace.order.saga.two_phase import PlaceOrderAtOnce
from marketplace.order.servicer import OrderServicer
from marketplace.order.settings import SETTINGS, PlacingSettings, read_settings
from marketplace.order.store.history import OrderHistory
from marketplace.order.store.orders import OrderStore
from marketplace.order.store.projection import ReadModelProjection
from marketplace.order.store.read_model import READ_MODEL
from marketplace.order.store.records import records
from marketplace.order.use_cases.find_lost_charges import FindLostCharges
from souk.sdk import (
    DatabaseNeeds,
    Saga,
    SagaRunner,
    SagaSettings,
    Service,
    ServiceContext,
    ServiceParts,
    TwoPhaseCoordinator,
    require_prepared_transactions,
)

__all__ = ["build", "service"]

DRAIN = 2.0
"""Seconds that running sagas may go on when the process stops; the rest is resumed at the next start."""


async def build(context: ServiceContext) -> ServiceParts:
    """Puts the service together."""
    settings = read_settings(context.settings)
    orders = OrderStore(context.outbox, context.clock)
    payments = ServicePayments(context.channel("payment"))
    sagas = _sagas(context, orders, payments, settings.placing)
    two_phase = _two_phase(context, sagas.outcomes)
    if settings.placing.two_phase:
        await require_prepared_transactions(context.database)
    deps = Deps(
        database=context.database,
        orders=orders,
        catalogue=ProductCatalogue(context.channel("product")),
        addresses=UserAddressBook(context.channel("user")),
        payments=payments,
        runner=sagas.runner,
        clock=context.clock,
        inbox=context.inbox,
        two_phase=two_phase,
        prefers_two_phase=settings.placing.two_phase,
    )
    lost, differing = LostCharges(), DifferingOrders()
    find = FindLostCharges(lost.count, report_only=settings.lost_charges.report_only)
    return ServiceParts(
        servicer=OrderServicer(deps),
        consumers=consumers(deps),
        tasks=tasks(deps, find, differing),
        drain=partial(_drain, deps),
        sagas=deps.runner,
        two_phase_commits=deps.two_phase,
        collectors=(*lost.collectors(find.progress), *differing.collectors()),
        projections={READ_MODEL: ReadModelProjection(context.database, orders.read_model)},
        history=OrderHistory(context.database, context.name),
        records=records,
    )


async def _drain(deps: Deps) -> None:
    coordinators: list[SagaRunner | TwoPhaseCoordinator] = (
        [deps.runner] if deps.two_phase is None else [deps.runner, deps.two_phase]
    )
    await asyncio.gather(*(coordinator.close(DRAIN) for coordinator in coordinators))


def _two_phase(context: ServiceContext, outcomes: PlacingOutcomes) -> TwoPhaseCoordinator | None:
    """Makes the other coordinator where there can be one; if no order is placed by it now, it ends what it began."""
    if context.database.prepared is None:
        return None
    stock, payments = context.channel("inventory"), context.channel("payment")
    placing = PlaceOrderAtOnce(outcomes, InventoryTransactions(stock), PaymentTransactions(payments))
    owner, numbers, faults = context.instance, SagaSettings(), context.faults
    return TwoPhaseCoordinator(
        context.database,
        [placing.action],
        context.clock,
        owner,
        numbers,
        faults,
        service=context.name,
        tracer=context.tracer,
    )


def _sagas(context: ServiceContext, orders: OrderStore, payments: Payments, settings: PlacingSettings) -> OrderSagas:
    def run(sagas: tuple[Saga, ...]) -> SagaRunner:
        owner, numbers = context.instance, SagaSettings()
        return SagaRunner(
            context.database,
            sagas,
            context.clock,
            owner,
            numbers,
            context.faults,
            service=context.name,
            tracer=context.tracer,
        )

    return OrderSagas(orders, InventoryStock(context.channel("inventory")), payments, settings.deadline, run)


def _needs(settings: Mapping[str, str]) -> DatabaseNeeds:
    return DatabaseNeeds(prepared_transactions=read_settings(settings).placing.two_phase)


service = Service(
    name="order",
    contract=pb.DESCRIPTOR.services_by_name["OrderService"],
    build=build,
    migrations=files("marketplace.order") / "migrations",
    settings=SETTINGS,
    needs=_needs,
    subscriptions=SUBSCRIPTIONS,
    calls=("product", "user", "inventory", "payment"),
)
