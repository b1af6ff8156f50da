"""The Order service: what it is made of, and its contract answered.

Read on in `use_cases/place_order.py`, then `domain.py`, then `saga.py`.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from typing import Any

import grpc.aio
from marketplace.order.lost_charges import LostCharges
from marketplace.order.use_cases.checks import Checks, Wish
from marketplace.order.use_cases.hear_events import ERASURE, REFUNDS, HearEvents
from marketplace.order.use_cases.move_parcel import MoveParcel
from shop.order.v1 import order_pb2 as pb
from shop.order.v1.order_pb2_grpc import OrderServiceServicer

from marketplace.order import domain
from marketplace.order.adapters.lookups import ProductCatalogue, UserAddressBook
from marketplace.order.adapters.payments import ServicePayments
from marketplace.order.adapters.stock import InventoryStock
from marketplace.order.messages import items_of, order_message
from marketplace.order.saga import OrderSagas
from marketplace.order.store import OrderStore
from marketplace.order.use_cases.cancel_order import CancelOrder
from marketplace.order.use_cases.find_lost_charges import FindLostCharges
from marketplace.order.use_cases.place_order import PlaceOrder
from marketplace.order.use_cases.read_orders import ReadOrders
from souk.kernel.context import current
from souk.kernel.errors import ConfigurationError, DomainError
from souk.runtime.service import Host, Parts, Service, Setting, Subscription
from souk.saga.runner import SagaRunner
from souk.saga.settings import SagaSettings
from souk.store.idempotency import fingerprint
from souk.store.inbox import Inbox

Context = grpc.aio.ServicerContext[Any, Any]
DRAIN = 2.0
"""Seconds that running sagas may go on at the end; what is left then is resumed at the next start."""
LONGEST_DEADLINE = 600.0
LOOK_EVERY = 60.0
"""Seconds between two looks for charges without an order."""
_REPLAYED = (("idempotent-replayed", "true"),)


class OrderServicer(OrderServiceServicer):
    """Messages in, use cases, messages out."""

    def __init__(
        self, place: PlaceOrder, cancel: CancelOrder, ship: MoveParcel, deliver: MoveParcel, read: ReadOrders
    ) -> None:
        self._place = place
        self._cancel = cancel
        self._ship = ship
        self._deliver = deliver
        self._read = read

    async def PlaceOrder(self, request: pb.PlaceOrderRequest, context: Context) -> pb.Order:
        wish = Wish(
            user_id=current().caller.subject,
            items=items_of(request),
            shipping_address_id=request.shipping_address_id,
            payment_method=request.payment_method,
            key=request.idempotency_key,
        )
        answer = await self._place(wish, fingerprint(request, without="idempotency_key"))
        if answer.replayed:
            context.set_trailing_metadata(_REPLAYED)
        if isinstance(answer.reply, DomainError):
            raise answer.reply
        return answer.reply

    async def GetOrder(self, request: pb.GetOrderRequest, context: Context) -> pb.Order:
        return await self._read.one(current().caller.subject, request.id)

    async def ListOrders(self, request: pb.ListOrdersRequest, context: Context) -> pb.ListOrdersResponse:
        return await self._read.page(current().caller.subject, request)

    async def ListOrderEvents(self, request: pb.ListOrderEventsRequest, context: Context) -> pb.ListOrderEventsResponse:
        return await self._read.history(current().caller.subject, request)

    async def CancelOrder(self, request: pb.CancelOrderRequest, context: Context) -> pb.Order:
        return order_message(await self._cancel(current().caller.subject, request.id))

    async def ShipOrder(self, request: pb.ShipOrderRequest, context: Context) -> pb.Order:
        return order_message(await self._ship(request.id))

    async def DeliverOrder(self, request: pb.DeliverOrderRequest, context: Context) -> pb.Order:
        return order_message(await self._deliver(request.id))


def saga_deadline(settings: Mapping[str, str]) -> float:
    """How long placing an order may take before it goes back, in seconds.

    Raises ConfigurationError for more than a reservation of stock outlasts by far.
    """
    text = settings.get("saga_deadline", "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1.0 <= seconds <= LONGEST_DEADLINE:
        raise ConfigurationError(f"order: saga_deadline must be 1 to {LONGEST_DEADLINE:g} seconds, not {text!r}")
    return seconds


def only_reports(settings: Mapping[str, str]) -> bool:
    """Whether charges without an order are left where they are; raises ConfigurationError for another word."""
    text = settings.get("lost_charges", "refund")
    if text not in ("refund", "report"):
        raise ConfigurationError(f"order: lost_charges must be refund or report, not {text!r}")
    return text == "report"


async def find_lost_charges(find: FindLostCharges) -> None:
    """Compares Payment's book with the orders, until it is cancelled."""
    while True:
        await asyncio.sleep(LOOK_EVERY)  # first: at a start there is enough to do
        await find.look()


async def build(host: Host) -> Parts:
    """The composition root."""
    orders = OrderStore(host.outbox, host.clock)
    payments = ServicePayments(host.channel("payment"))
    checks = Checks(ProductCatalogue(host.channel("product")), UserAddressBook(host.channel("user")), payments)
    sagas = OrderSagas(orders, InventoryStock(host.channel("inventory")), payments)
    deadline = saga_deadline(host.settings)
    runner = SagaRunner(
        host.database, sagas.all(deadline), host.clock, host.instance, SagaSettings(), host.faults, service=host.name
    )
    sagas.runner = runner
    lost = LostCharges()
    find = FindLostCharges(
        host.database, orders, payments, host.clock, lost.count, report_only=only_reports(host.settings)
    )
    hear = HearEvents(host.database, orders, Inbox())
    servicer = OrderServicer(
        PlaceOrder(host.database, orders, checks, runner, host.clock),
        CancelOrder(host.database, orders, sagas, runner, host.clock),
        MoveParcel(host.database, orders, domain.ship),
        MoveParcel(host.database, orders, domain.deliver),
        ReadOrders(host.database, orders),
    )
    return Parts(
        servicer,
        consumers={REFUNDS: hear.refunded, ERASURE: hear.user_deleted},
        tasks={
            "sagas": runner.run,
            "erase late addresses": hear.keep_erased,
            "find lost charges": partial(find_lost_charges, find),
        },
        drain=partial(runner.close, DRAIN),
        sagas=runner,
        collectors=lost.collectors,
    )


service = Service(
    name="order",
    contract=pb.DESCRIPTOR.services_by_name["OrderService"],
    build=build,
    migrations=files("marketplace.order") / "migrations",
    settings=(
        Setting("saga_deadline", "How long placing an order may take before all of it is undone.", "60", "seconds"),
        Setting(
            "lost_charges",
            "What happens to a charge in Payment's book without an order: refund it, or only report it.",
            "refund",
            "refund or report",
        ),
    ),
    subscriptions=(
        Subscription(REFUNDS, ("shop.payment.v1.PaymentRefunded",)),
        Subscription(ERASURE, ("shop.user.v1.UserDeleted",)),
    ),
)
