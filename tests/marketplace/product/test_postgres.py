"""The catalogue on PostgreSQL: the same answers as on SQLite."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from shop.product.v1 import product_pb2 as pb

from marketplace.product.demo import demo_products
from marketplace.product.deps import Deps
from marketplace.product.domain.products import RELEVANCE, SORTS, Cursor, Listing, Search
from marketplace.product.domain.words import query_words
from marketplace.product.service import service
from marketplace.product.servicer import ProductServicer
from marketplace.product.store.products import ProductStore
from souk.kernel.errors import DomainError
from souk.store.cache.read_cache import ReadCache
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.outbox import Outbox
from souk.store.postgres.database import PostgresDatabase
from souk.testing.clocks import FakeClock
from souk.testing.service_host import CallRecord, service_host

CONTEXT: Any = CallRecord()
QUERIES = (
    "coffee",
    "coffee gri",
    "usb c cable",
    "crème",
    "set of",
    "wool",
    "20",
    "a",
    "1 000",
    "kettle o'",
    "x:*&!",
    "the",
)


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    database = await PostgresDatabase.open(postgres_url)
    assert service.migrations is not None
    await migrate(database, platform_migrations(), PLATFORM)
    await migrate(database, service.migrations, service.name)
    yield database
    await database.close()


async def test_it_answers_as_on_sqlite(database: PostgresDatabase, tmp_path: Any) -> None:
    async with service_host(service, tmp_path) as host:
        store, both = ProductStore(host.outbox), (database, host.database)
        for product in demo_products(1_800_000_000_000_000):
            for one in both:
                assert await one.run(partial(store.add, product=product))
        for sort in SORTS:
            listing = Listing(sort=sort, min_price=1_500)
            listed = [await one.read(partial(store.list, listing=listing, after=None, limit=100)) for one in both]
            assert listed[0] == listed[1]
        for text in filter(query_words, QUERIES):
            search = partial(store.search, wanted=Search(query_words(text)), after=None, limit=100)
            found = [await one.read(search) for one in both]
            products = [{p.product.id for p in one.listed} for one in found]
            assert products[0] == products[1], text
            assert found[0].facets == found[1].facets, text


async def test_changes_pages_and_refusals(database: PostgresDatabase) -> None:
    clock = FakeClock()
    store = ProductStore(Outbox("product", clock))
    servicer = ProductServicer(Deps(database, store, ReadCache("product", clock, None, alone=True), clock))
    for number in range(9):
        request = pb.CreateProductRequest(
            id=f"p{number}",
            name=f"Mug {number}",
            description="Holds tea.",
            category="kitchen",
            price=number % 3,
            currency="EUR",
        )
        await servicer.CreateProduct(request, CONTEXT)
    with pytest.raises(DomainError, match="PRODUCT_EXISTS"):
        await servicer.CreateProduct(request, CONTEXT)
    await servicer.UpdateProduct(pb.UpdateProductRequest(id="p0", name="Samovar"), CONTEXT)
    await servicer.DeleteProduct(pb.DeleteProductRequest(id="p1"), CONTEXT)
    found: list[str] = []
    after: Cursor | None = None
    wanted = Search(("mug",), Listing(category="kitchen", sort=RELEVANCE))
    while page := (await database.read(partial(store.search, wanted=wanted, after=after, limit=2))).listed:
        found += [placed.product.id for placed in page]
        after = page[-1].cursor
    assert sorted(found) == [f"p{number}" for number in range(2, 9)]
    listed = await servicer.ListProducts(pb.ListProductsRequest(sort="-price", page_size=3), CONTEXT)
    rest = await servicer.ListProducts(
        pb.ListProductsRequest(sort="-price", page_size=100, page_token=listed.next_page_token), CONTEXT
    )
    prices = [(item.price, item.id) for item in (*listed.products, *rest.products)]
    assert prices == sorted(prices, reverse=True)
    assert len(prices) == 8
