from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from shop.inventory.v1 import inventory_pb2 as pb

from marketplace.inventory.service import service
from souk.kernel.context import CallContext, Caller, use
from souk.kernel.errors import DomainError
from souk.runtime.service import ServiceContext
from souk.testing.clocks import FakeClock
from souk.testing.service_host import CallRecord, HeldToContract, require_listed, service_host

ADMIN = CallContext(caller=Caller(subject="U-admin", roles=frozenset({"admin"})))


@dataclass
class Shop:
    """The servicer, with short methods for tests."""

    servicer: Any
    host: ServiceContext
    clock: FakeClock
    parts: Any

    async def call(self, method: str, request: Any, record: CallRecord) -> Any:
        try:
            return await getattr(self.servicer, method)(request, record)
        except DomainError as error:
            require_listed(service.contract, method, error)
            raise

    async def adjust(self, product: str, delta: int, key: str, reason: str = "test") -> int:
        request = pb.AdjustStockRequest(product_id=product, delta=delta, reason=reason, idempotency_key=key)
        with use(ADMIN):
            self.record = CallRecord()
            return (await self.call("AdjustStock", request, self.record)).available

    async def reserve(self, key: str, items: dict[str, int], ttl: int = 600, order: str = "ORD-1") -> int:
        request = pb.ReserveRequest(key=key, order_id=order)
        for product, quantity in items.items():
            request.items.add(product_id=product, quantity=quantity)
        request.expires_at.FromMicroseconds(self.clock.now() + ttl * 1_000_000)
        return (await self.call("Reserve", request, CallRecord())).state

    async def release(self, key: str) -> int:
        return (await self.call("Release", pb.ReleaseRequest(key=key), CallRecord())).state

    async def commit(self, key: str) -> int:
        return (await self.call("CommitReservation", pb.CommitReservationRequest(key=key), CallRecord())).state

    async def take_back(self, key: str) -> int:
        return (await self.call("ReturnStock", pb.ReturnStockRequest(key=key), CallRecord())).state

    async def available(self, product: str) -> int:
        return (await self.call("GetStock", pb.GetStockRequest(product_id=product), CallRecord())).available

    async def row(self, product: str) -> tuple[int, int, int, int]:
        sql = "SELECT received, available, reserved, sold FROM stock WHERE product_id = $1"
        row = await self.host.database.read(lambda tx: tx.fetch_one(sql, product))
        return tuple(row[name] for name in ("received", "available", "reserved", "sold"))


@asynccontextmanager
async def open_shop_in(folder: Path, url: str | None = None, redis: Any = None) -> AsyncIterator[Shop]:
    clock = FakeClock()
    async with service_host(service, folder, clock=clock, postgres_url=url, redis=redis) as host:
        parts = await service.build(host)
        yield Shop(HeldToContract(parts.servicer), host, clock, parts)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else None


@pytest.fixture
async def shop(tmp_path: Path, url: str | None) -> AsyncIterator[Shop]:
    async with open_shop_in(tmp_path, url) as open_shop:
        yield open_shop


@pytest.fixture
def open_shop() -> Any:
    """Gives the function by which a test opens a shop itself."""
    return open_shop_in
