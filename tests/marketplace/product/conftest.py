"""The Product service on a SQLite file of its own."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from shop.product.v1 import product_pb2 as pb

from marketplace.product.service import service
from marketplace.product.servicer import ProductServicer
from souk.runtime.service import ServiceContext, ServiceParts
from souk.testing.clocks import FakeClock
from souk.testing.service_host import HeldToContract, service_host


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def host(tmp_path: Path, clock: FakeClock) -> AsyncIterator[ServiceContext]:
    async with service_host(service, tmp_path, clock=clock) as host:
        yield host


@pytest.fixture
async def parts(host: ServiceContext) -> ServiceParts:
    return await service.build(host)


@pytest.fixture
def product(parts: ServiceParts) -> ProductServicer:
    assert isinstance(parts.servicer, ProductServicer)
    return cast(ProductServicer, HeldToContract(parts.servicer))


@pytest.fixture
def mug() -> pb.CreateProductRequest:
    return pb.CreateProductRequest(
        id="P-1",
        name="Stoneware Mug",
        description="Holds coffee.",
        category="kitchen",
        price=1200,
        currency="EUR",
        image_url="https://example.com/mug.jpg",
    )
