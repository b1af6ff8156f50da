"""The catalogue's cache: buyers read it, prices of orders never come from it."""

from dataclasses import replace

import pytest
from shop.product.v1 import product_pb2 as pb

from souk.kernel.errors import DomainError, StoreUnavailable


class Away:
    """A database that cannot be reached."""

    def __init__(self, dialect):
        self.dialect = dialect

    async def run(self, work, *, guarded=False):
        raise StoreUnavailable("the database is away")

    async def read(self, work, *, single=False, long=False):
        raise StoreUnavailable("the database is away")


@pytest.fixture
async def shown(parts, mug):
    product = parts.servicer
    await product.CreateProduct(mug, None)
    await product.GetProduct(pb.GetProductRequest(id="P-1"), None)
    await product.ListProducts(pb.ListProductsRequest(), None)
    return product


def lose_database(product):
    product._deps = replace(product._deps, database=Away(product._deps.database.dialect))


async def test_the_catalogue_is_shown_while_the_database_is_away(shown):
    lose_database(shown)
    assert (await shown.GetProduct(pb.GetProductRequest(id="P-1"), None)).price == 1200
    assert len((await shown.ListProducts(pb.ListProductsRequest(), None)).products) == 1


async def test_what_nobody_has_read_yet_cannot_be_shown_then(shown):
    lose_database(shown)
    with pytest.raises(StoreUnavailable):
        await shown.ListProducts(pb.ListProductsRequest(category="kitchen"), None)


async def test_the_price_of_an_order_never_comes_from_the_cache(shown):
    lose_database(shown)
    with pytest.raises(StoreUnavailable):
        await shown.BatchGetProducts(pb.BatchGetProductsRequest(ids=["P-1"]), None)


async def test_whoever_changes_a_product_reads_the_change(shown):
    await shown.UpdateProduct(pb.UpdateProductRequest(id="P-1", price=1300), None)
    assert (await shown.GetProduct(pb.GetProductRequest(id="P-1"), None)).price == 1300
    await shown.DeleteProduct(pb.DeleteProductRequest(id="P-1"), None)
    with pytest.raises(DomainError, match="PRODUCT_NOT_FOUND"):
        await shown.GetProduct(pb.GetProductRequest(id="P-1"), None)
    assert not (await shown.ListProducts(pb.ListProductsRequest(), None)).products


async def test_an_event_of_a_change_makes_the_cache_stale(shown, parts):
    mug = (await shown.GetProduct(pb.GetProductRequest(id="P-1"), None)).price
    deps = shown._deps
    await deps.run(lambda tx: deps.products.remove(tx, "P-1", 1))  # by a process that died before it could say so
    assert (await shown.GetProduct(pb.GetProductRequest(id="P-1"), None)).price == mug
    await parts.consumers["catalogue-cache"](None)
    with pytest.raises(DomainError, match="PRODUCT_NOT_FOUND"):
        await shown.GetProduct(pb.GetProductRequest(id="P-1"), None)
