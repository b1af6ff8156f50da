"""The Analytics service on a database of its own, and events of orders to feed it."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from shop.analytics.v1 import analytics_pb2 as pb
from shop.order.v1 import order_pb2 as orders
from soukapi.v1.event_pb2 import Event

from marketplace.analytics.consumers import FIGURES
from marketplace.analytics.messages import to_fact
from marketplace.analytics.ports import Past, PastFacts
from marketplace.analytics.service import service
from souk.kernel.context import CallContext, Caller, use
from souk.kernel.errors import DomainError
from souk.runtime.service import ServiceContext, ServiceParts
from souk.testing.clocks import FakeClock
from souk.testing.service_host import CallRecord, HeldToContract, require_listed, service_host

ADMIN = CallContext(caller=Caller(subject="U-admin", roles=frozenset({"admin"})))
FIRST, LAST = "2026-11-01", "2026-11-30"


def at(text: str) -> int:
    """Gives a time such as "2026-11-29 14:00" in UTC in microseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@dataclass
class Sold:
    """An order, and the events about it as Order makes them."""

    id: str
    placed: int
    lines: tuple[tuple[str, int, int], ...] = (("P-1", 1, 1_200),)
    currency: str = "EUR"
    refunded: int = 0

    @property
    def total(self) -> int:
        return sum(quantity * price for _, quantity, price in self.lines)

    def message(self, time: int) -> orders.Order:
        items = [orders.OrderItem(product_id=name, quantity=n, price=price) for name, n, price in self.lines]
        order = orders.Order(
            id=self.id, items=items, total=self.total, currency=self.currency, refunded_total=self.refunded
        )
        order.created_at.FromMicroseconds(self.placed)
        order.updated_at.FromMicroseconds(time)
        return order

    def confirmed(self, time: int | None = None) -> Event:
        order = self.message(self.placed if time is None else time)
        return self._event(orders.OrderConfirmed(user_id="U-1", order=order))

    def rejected(self, reason: str, time: int | None = None) -> Event:
        order = self.message(self.placed if time is None else time)
        return self._event(orders.OrderRejected(user_id="U-1", order=order, reason=reason))

    def refund(self, amount: int, time: int) -> Event:
        self.refunded += amount
        return self._event(orders.OrderRefunded(user_id="U-1", order=self.message(time), amount=amount))

    def cancelled(self, time: int) -> Event:
        return self._event(orders.OrderCancelled(user_id="U-1", order=self.message(time)))

    def _event(self, payload: Message) -> Event:
        name = payload.DESCRIPTOR.full_name
        return Event(id=f"EVT-{self.id}-{name}-{self.refunded}", type=name, payload=payload.SerializeToString())


class KnownPast:
    """The past as a list of orders, each with its events; a page has two orders."""

    def __init__(self) -> None:
        self.lives: dict[str, list[Event]] = {}

    def add(self, order_id: str, *events: Event) -> None:
        self.lives.setdefault(order_id, []).extend(events)

    async def count(self) -> int:
        return len(self.lives)

    async def page(self, after: str) -> PastFacts | None:
        ids = sorted(order_id for order_id in self.lives if order_id > after)[:2]
        if not ids:
            return None
        facts = [to_fact(event.type, event.payload) for order_id in ids for event in self.lives[order_id]]
        return PastFacts(facts, ids[-1], len(ids))


@dataclass
class Desk:
    """The service, with short methods for tests."""

    servicer: Any
    host: ServiceContext
    parts: ServiceParts
    clock: FakeClock

    async def handle(self, *events: Event) -> None:
        for event in events:
            await self.parts.consumers[FIGURES](event)

    async def call(self, method: str, request: Any) -> Any:
        with use(ADMIN):
            try:
                return await getattr(self.servicer, method)(request, CallRecord())
            except DomainError as error:
                require_listed(service.contract, method, error)
                raise

    async def revenue(self, first: str = FIRST, last: str = LAST, **more: Any) -> pb.Revenue:
        return await self.call("GetRevenue", pb.GetRevenueRequest(**{"from": first}, to=last, **more))

    async def products(self, first: str = FIRST, last: str = LAST, **more: Any) -> pb.TopProducts:
        return await self.call("GetTopProducts", pb.GetTopProductsRequest(**{"from": first}, to=last, **more))

    async def conversion(self, first: str = FIRST, last: str = LAST) -> pb.Conversion:
        return await self.call("GetConversion", pb.GetConversionRequest(**{"from": first}, to=last))


def sales(of: pb.Sales) -> tuple[int, int, int, int, int]:
    """Gives orders, gross, refunds, refunded and net."""
    return of.orders, of.gross, of.refunds, of.refunded, of.net


def by_currency(revenue: pb.Revenue) -> dict[str, dict[str, tuple[int, int, int, int, int]]]:
    """Gives the sales of each currency by day, and their total as the day ""."""
    return {
        one.currency: {"": sales(one.total)} | {day.date: sales(day.sales) for day in one.days}
        for one in revenue.currencies
    }


def outcomes(of: pb.Outcomes) -> tuple[int, dict[str, int], int]:
    """Gives how many were confirmed, rejected by reason, and cancelled."""
    return of.confirmed, {one.reason: one.orders for one in of.rejections}, of.cancelled


def best(products: Iterable[pb.ProductSales]) -> list[tuple[str, int, int]]:
    """Gives the products with their units and revenue."""
    return [(one.product_id, one.units, one.revenue) for one in products]


@asynccontextmanager
async def open_desk_in(folder: Path, url: str | None = None, past: Past | None = None) -> AsyncIterator[Desk]:
    clock = FakeClock()
    async with service_host(service, folder, clock=clock, postgres_url=url) as host:
        parts = await service.build(host, past or KnownPast())
        yield Desk(HeldToContract(parts.servicer), host, parts, clock)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else None


@pytest.fixture
async def desk(tmp_path: Path, url: str | None) -> AsyncIterator[Desk]:
    async with open_desk_in(tmp_path, url) as opened:
        yield opened
