"""What anybody can make long holds up nobody else: lists and searches of a large catalogue."""

import threading
from dataclasses import replace
from typing import Any, cast

import pytest
from shop.product.v1 import product_pb2 as pb

from marketplace.product.domain.products import Listing
from marketplace.product.servicer import ProductServicer
from marketplace.product.store import search
from marketplace.product.store.search import MOST_RANKED
from souk.runtime.service import ServiceContext
from souk.store.database import Database, Dialect, Transaction, Work
from tests.marketplace.product.test_listing import CONTEXT

SIZE = MOST_RANKED + 500
_NUMBERS = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < $1)"
_PRODUCTS = f"""{_NUMBERS} INSERT INTO products
    (id, name, description, category, price, currency, created_at, updated_at, sort_name)
    SELECT 'P' || x, 'Thing', '', CASE WHEN x > 1400 THEN 'late' ELSE 'early' END, 100, 'EUR', x, x, 'thing' FROM n"""
_INDEX = "INSERT INTO product_search (rowid, name, category, description) SELECT number, 'thing', '', '' FROM products"


@pytest.fixture
async def large(host: ServiceContext, product: ProductServicer) -> ProductServicer:
    async def fill(tx: Transaction) -> None:
        await tx.execute(_PRODUCTS, SIZE)
        await tx.execute(_INDEX)

    await host.database.run(fill)
    return product


class Threads:
    """A database that records on which threads it is read."""

    def __init__(self, database: Database) -> None:
        self._database, self.seen = database, set[int]()

    @property
    def dialect(self) -> Dialect:
        return self._database.dialect

    async def read(self, work: Work[Any], **how: bool) -> Any:
        async def watched(tx: Transaction) -> Any:
            self.seen.add(threading.get_ident())
            return await work(tx)

        return await self._database.read(watched, **how)


@pytest.mark.parametrize("sort", ["name", "-price", "createdAt"])
async def test_a_list_does_not_run_on_the_event_loop(large: ProductServicer, host: ServiceContext, sort: str) -> None:
    threads = Threads(host.database)
    deps = replace(large._deps, database=cast(Database, threads))
    request = pb.ListProductsRequest(sort=sort, category="late", page_size=10)
    assert (await ProductServicer(deps).ListProducts(request, CONTEXT)).products
    assert threading.get_ident() not in threads.seen


async def test_a_search_does_not_run_on_the_event_loop(large: ProductServicer, host: ServiceContext) -> None:
    threads = Threads(host.database)
    deps = replace(large._deps, database=cast(Database, threads))
    assert (await ProductServicer(deps).SearchProducts(pb.SearchProductsRequest(q="t", page_size=10), CONTEXT)).products
    assert threading.get_ident() not in threads.seen


async def test_so_many_matches_are_ranked_and_of_a_category_its_own(large: ProductServicer) -> None:
    async def found(**query: str) -> int:
        request, count = pb.SearchProductsRequest(q="t", page_size=100, **query), 0
        while True:
            page = await large.SearchProducts(request, CONTEXT)
            count += len(page.products)
            if not page.HasField("next_page_token"):
                return count
            request.page_token = page.next_page_token

    assert await found() == MOST_RANKED
    assert await found(category="late") == SIZE - 1_400


async def test_the_index_is_asked_once_for_a_category(large: ProductServicer, host: ServiceContext) -> None:
    sql, values = search.page_of_matches("sqlite", "id", [["t"]], Listing("relevance", category="late"), None, 10)
    plan = await host.database.read(lambda tx: tx.fetch(f"EXPLAIN QUERY PLAN {sql}", *values))
    (asked,) = [row["detail"] for row in plan if "product_search" in row["detail"]]
    assert "=" not in asked  # else it is looked into by row
