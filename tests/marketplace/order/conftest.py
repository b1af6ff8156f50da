"""An Order service on a real database, with fakes of the other services."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from shop.inventory.v1 import inventory_pb2
from shop.order.v1 import order_pb2 as pb
from shop.payment.v1 import payment_pb2
from soukapi.v1.event_pb2 import Event

from marketplace.order.consumers import erase_addresses, record_refund
from marketplace.order.deps import Deps
from marketplace.order.domain.order import Order
from marketplace.order.events import Item
from marketplace.order.messages import reply_message
from marketplace.order.ports import Address, Charge, Price, StandingCharge
from marketplace.order.saga.order_sagas import OrderSagas
from marketplace.order.service import service
from marketplace.order.servicer import OrderServicer
from marketplace.order.store.orders import OrderStore
from marketplace.order.use_cases.cancel_order import CancelOrder, cancel_order
from marketplace.order.use_cases.fulfil_order import DeliverOrder, ShipOrder, deliver_order, ship_order
from marketplace.order.use_cases.place_order import PlaceOrder, place_order
from souk.descriptors.contract import contract_of
from souk.kernel.context import CallContext, Caller, use
from souk.kernel.errors import DomainError, Outcome
from souk.rpc.call import CallFailed, Status, failed
from souk.rpc.status import STATUS_KEY, encode
from souk.runtime.service import ServiceContext
from souk.saga.definition import Saga
from souk.saga.runner import SagaRunner, SagaSettings
from souk.testing.service_host import CallRecord, service_host

BUYER = "U-1"
CONTRACT = service.contract


def refused(service_name: str, error: DomainError) -> CallFailed:
    """Makes the error that a stub raises when the callee refuses."""
    module, name, method = {
        "inventory": (inventory_pb2, "InventoryService", "Reserve"),
        "payment": (payment_pb2, "PaymentService", "Charge"),
    }[service_name]
    contract = contract_of(module.DESCRIPTOR.services_by_name[name])
    known = next(each for each in contract.methods.values() if each.name == method)
    code = known.reasons[error.reason].code
    return failed(known, Status(code, error.detail, ((STATUS_KEY, encode(error, code, service_name)),)))


def lost() -> CallFailed:
    """Makes the error that a stub raises when no answer comes: the call may have been carried out."""
    failure = failed(None, Status(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer"))
    assert failure.outcome is Outcome.UNKNOWN
    return failure


@dataclass
class Participants:
    """Fakes the catalogue, addresses, stock and payments; `fail` holds what the next calls of each name raise."""

    price: int = 1200
    fail: dict[str, list[Exception]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    reserved: dict[str, str] = field(default_factory=dict)
    charged: dict[str, str] = field(default_factory=dict)
    block: dict[str, asyncio.Event] = field(default_factory=dict)
    currencies: dict[str, str] = field(default_factory=dict)

    async def _enter(self, name: str, key: str) -> None:
        self.calls.append((name, key))
        if name in self.block:
            await self.block[name].wait()
        if self.fail.get(name):
            raise self.fail[name].pop(0)

    def count(self, name: str) -> int:
        return sum(1 for call, _ in self.calls if call == name)

    async def prices(self, product_ids: Sequence[str]) -> dict[str, Price]:
        await self._enter("prices", "")
        known = [each for each in product_ids if each.startswith("P-")]
        return {each: Price(self.price, self.currencies.get(each, "EUR")) for each in known}

    async def address(self, user_id: str, address_id: str) -> Address | None:
        await self._enter("address", address_id)
        return Address(address_id, "Somewhere 1") if address_id == "ADDR-1" else None

    async def resolve(self, user_id: str, payment_method: str) -> bytes | None:
        await self._enter("resolve", payment_method)
        return b"source" if payment_method in ("card", "wallet") else None

    async def reserve(self, key: str, order_id: str, items: Sequence[Item], expires_at: int) -> None:
        await self._enter("reserve", key)
        if self.reserved.setdefault(key, "reserved") == "released":
            raise refused("inventory", DomainError("RESERVATION_RELEASED", "too late"))

    async def release(self, key: str) -> None:
        await self._enter("release", key)
        self.reserved[key] = "released"

    async def commit(self, key: str) -> None:
        await self._enter("commit", key)
        assert self.reserved[key] in ("reserved", "sold")
        self.reserved[key] = "sold"

    async def take_back(self, key: str) -> None:
        await self._enter("take_back", key)
        assert self.reserved[key] in ("sold", "returned")
        self.reserved[key] = "returned"

    async def charge(self, charge: Charge) -> str:
        await self._enter("charge", charge.key)
        self.charged.setdefault(charge.key, "captured")
        return f"PAY-{charge.key}"

    async def cancel(self, key: str, order_id: str) -> None:
        await self._enter("cancel", key)
        self.charged[key] = "undone"

    async def standing(self, after: str, min_age: int, limit: int) -> Sequence[StandingCharge]:
        await self._enter("standing", after)
        captured = [key for key, state in self.charged.items() if state == "captured"]
        found = [StandingCharge(f"PAY-{key}", key, key.partition(":")[0]) for key in captured]
        behind = [each for each in found if each.payment_id > after]
        return sorted(behind, key=lambda each: each.payment_id)[:limit]

    async def refund(self, key: str, payment_id: str, reason: str) -> None:
        await self._enter("refund", key)
        self.charged[payment_id.removeprefix("PAY-")] = "refunded"


class Reading:
    """An order as the API shows it to its buyer."""

    def __init__(self, servicer: OrderServicer) -> None:
        self._servicer = servicer

    async def one(self, user_id: str, order_id: str) -> pb.Order:
        return await self._call("GetOrder", user_id, pb.GetOrderRequest(id=order_id))

    async def page(self, user_id: str, request: pb.ListOrdersRequest) -> pb.ListOrdersResponse:
        return await self._call("ListOrders", user_id, request)

    async def history(self, user_id: str, request: pb.ListOrderEventsRequest) -> pb.ListOrderEventsResponse:
        return await self._call("ListOrderEvents", user_id, request)

    async def _call(self, method: str, user_id: str, request: Any) -> Any:
        with use(CallContext(caller=Caller(subject=user_id))):
            return await getattr(self._servicer, method)(request, CallRecord())


@dataclass(frozen=True)
class Answer:
    """What placing an order was answered with, as the contract has it."""

    reply: pb.Order | DomainError
    replayed: bool


@dataclass
class Shop:
    """The use cases, with short methods for tests; `placing` are the dependencies with which orders are placed."""

    host: ServiceContext
    others: Participants
    runner: SagaRunner
    deps: Deps
    placing: Deps
    read: Reading

    async def place(
        self, key: str = "key-1", *, fingerprint: str = "f", seconds: float = 5.0, **change: object
    ) -> Answer:
        fields = {"items": (Item("P-1", 2, 1200),), "shipping_address_id": "ADDR-1", "payment_method": "card"}
        command = PlaceOrder(user_id=BUYER, key=key, fingerprint=fingerprint, **{**fields, **change})
        with use(CallContext(deadline=self.host.clock.monotonic() + seconds)):
            answer = await place_order(self.placing, command)
        try:
            return Answer(reply_message(answer.reply), answer.replayed)
        except DomainError as refused:
            return Answer(refused, answer.replayed)

    async def cancel(self, order_id: str, *, user_id: str = BUYER, seconds: float = 5.0) -> Order:
        with use(CallContext(deadline=self.host.clock.monotonic() + seconds)):
            return await cancel_order(self.deps, CancelOrder(user_id, order_id))

    async def ship(self, order_id: str) -> Order:
        return await ship_order(self.deps, ShipOrder(order_id))

    async def deliver(self, order_id: str) -> Order:
        return await deliver_order(self.deps, DeliverOrder(order_id))

    async def refunded(self, event: Event) -> None:
        await record_refund(self.deps, event)

    async def user_deleted(self, event: Event) -> None:
        await erase_addresses(self.deps, event)

    async def order(self, order_id: str) -> pb.Order:
        return await self.read.one(BUYER, order_id)

    async def events(self) -> list[str]:
        rows = await self.host.database.read(lambda tx: tx.fetch("SELECT type FROM souk_outbox ORDER BY seq"))
        return [row["type"].rpartition(".")[2] for row in rows]


@asynccontextmanager
async def open_shop_in(
    folder: Path,
    others: Participants | None = None,
    *,
    settings: SagaSettings | None = None,
    url: str | None = None,
    owner: str = "test",
) -> AsyncIterator[Shop]:
    others = others or Participants()
    async with service_host(service, folder, postgres_url=url) as host:
        orders = OrderStore(host.outbox, host.clock)
        settings = settings or SagaSettings(pause=0.01, longest_pause=0.02)

        def run(sagas: tuple[Saga, ...]) -> SagaRunner:
            return SagaRunner(host.database, sagas, host.clock, owner, settings, service="order")

        runner = OrderSagas(orders, others, others, 2.0, run).runner
        deps = Deps(host.database, orders, others, others, others, runner, host.clock)
        yield Shop(host, others, runner, deps, deps, Reading(OrderServicer(deps)))
        await runner.close()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else None


@pytest.fixture
async def shop(tmp_path: Path, url: str | None) -> AsyncIterator[Shop]:
    async with open_shop_in(tmp_path, url=url) as shop:
        yield shop


@pytest.fixture
def open_shop() -> object:
    """Gives the function by which a test opens a shop itself."""
    return open_shop_in


@pytest.fixture
def refuse() -> object:
    return refused


@pytest.fixture
def lost_answer() -> object:
    return lost
