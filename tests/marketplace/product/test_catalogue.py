"""Adding, changing and removing products, and the events that tell of it."""

from typing import Any

import pytest
from shop.product.v1 import product_pb2 as pb

from marketplace.product.servicer import ProductServicer
from souk.kernel.errors import DomainError, InvalidArgument
from souk.runtime.service import ServiceContext, ServiceParts
from souk.testing.clocks import FakeClock
from souk.testing.service_host import CallRecord

CONTEXT: Any = CallRecord()


async def published(host: ServiceContext) -> list[tuple[str, str, bytes]]:
    rows = await host.database.read(lambda tx: tx.fetch("SELECT type, key, payload FROM souk_outbox ORDER BY seq"))
    return [(row["type"].rpartition(".")[2], row["key"], row["payload"]) for row in rows]


async def test_a_product_can_be_read_as_it_was_added(product: ProductServicer, mug: Any, clock: FakeClock) -> None:
    created = await product.CreateProduct(mug, CONTEXT)
    assert created == await product.GetProduct(pb.GetProductRequest(id="P-1"), CONTEXT)
    assert (created.name, created.price, created.currency) == ("Stoneware Mug", 1200, "EUR")
    assert created.created_at.ToMicroseconds() == created.updated_at.ToMicroseconds() == clock.now()


async def test_an_id_is_made_up_unless_it_is_given(product: ProductServicer, mug: Any) -> None:
    mug.ClearField("id")
    assert (await product.CreateProduct(mug, CONTEXT)).id.startswith("P-")


async def test_an_id_is_taken_once(product: ProductServicer, mug: Any, host: ServiceContext) -> None:
    await product.CreateProduct(mug, CONTEXT)
    with pytest.raises(DomainError) as caught:
        await product.CreateProduct(mug, CONTEXT)
    assert caught.value.reason == "PRODUCT_EXISTS"
    assert len(await published(host)) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "no spaces"),
        ("id", ""),
        ("id", "x" * 65),
        ("name", ""),
        ("name", "   "),
        ("name", "x" * 201),
        ("name", "two\nlines"),
        ("description", "x" * 5_001),
        ("description", "nul \0"),
        ("category", ""),
        ("category", "x" * 51),
        ("price", -1),
        ("price", 2**53),
        ("currency", "eur"),
        ("currency", "EURO"),
        ("currency", ""),
        ("image_url", "ftp://example.com/a"),
        ("image_url", "javascript:alert(1)"),
        ("image_url", "https://"),
        ("image_url", "https://example.com/" + "x" * 2_000),
        ("image_url", "https://example.com/a b"),
        ("image_url", "https://[broken"),
    ],
)
async def test_nonsense_is_refused_with_the_field(product: ProductServicer, mug: Any, field: str, value: Any) -> None:
    setattr(mug, field, value)
    with pytest.raises(InvalidArgument) as caught:
        await product.CreateProduct(mug, CONTEXT)
    assert [violation.field for violation in caught.value.violations] == [field]


async def test_everything_that_is_wrong_is_said_at_once(product: ProductServicer) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await product.CreateProduct(pb.CreateProductRequest(price=-1), CONTEXT)
    assert {violation.field for violation in caught.value.violations} == {"name", "category", "price", "currency"}


async def test_a_change_touches_only_what_is_given(product: ProductServicer, mug: Any, clock: FakeClock) -> None:
    before = await product.CreateProduct(mug, CONTEXT)
    clock.advance(1)
    after = await product.UpdateProduct(pb.UpdateProductRequest(id="P-1", price=1300), CONTEXT)
    assert after.price == 1300
    assert after.updated_at.ToMicroseconds() == clock.now()
    after.price, after.updated_at.seconds = before.price, before.updated_at.seconds
    assert after == before


async def test_a_picture_can_be_taken_away(product: ProductServicer, mug: Any) -> None:
    await product.CreateProduct(mug, CONTEXT)
    changed = await product.UpdateProduct(pb.UpdateProductRequest(id="P-1", image_url=""), CONTEXT)
    assert not changed.HasField("image_url")


async def test_a_change_is_checked_and_nothing_happens(
    product: ProductServicer, mug: Any, host: ServiceContext
) -> None:
    before = await product.CreateProduct(mug, CONTEXT)
    with pytest.raises(InvalidArgument):
        await product.UpdateProduct(pb.UpdateProductRequest(id="P-1", price=-1), CONTEXT)
    assert await product.GetProduct(pb.GetProductRequest(id="P-1"), CONTEXT) == before
    assert len(await published(host)) == 1


async def test_a_deleted_product_vanishes(product: ProductServicer, mug: Any) -> None:
    await product.CreateProduct(mug, CONTEXT)
    await product.DeleteProduct(pb.DeleteProductRequest(id="P-1"), CONTEXT)
    with pytest.raises(DomainError, match="PRODUCT_NOT_FOUND"):
        await product.GetProduct(pb.GetProductRequest(id="P-1"), CONTEXT)
    assert not (await product.ListProducts(pb.ListProductsRequest(), CONTEXT)).products
    assert not (await product.SearchProducts(pb.SearchProductsRequest(q="mug"), CONTEXT)).products
    assert not (await product.BatchGetProducts(pb.BatchGetProductsRequest(ids=["P-1"]), CONTEXT)).products


@pytest.mark.parametrize("product_id", ["P-unknown", "", "nul \0", "x" * 100])
async def test_unknown_products_are_not_found(product: ProductServicer, product_id: str) -> None:
    for call in (
        product.GetProduct(pb.GetProductRequest(id=product_id), CONTEXT),
        product.UpdateProduct(pb.UpdateProductRequest(id=product_id, price=1), CONTEXT),
        product.DeleteProduct(pb.DeleteProductRequest(id=product_id), CONTEXT),
    ):
        with pytest.raises(DomainError) as caught:
            await call
        assert caught.value.reason == "PRODUCT_NOT_FOUND"


async def test_every_change_is_told_in_order(product: ProductServicer, mug: Any, host: ServiceContext) -> None:
    await product.CreateProduct(mug, CONTEXT)
    changed = await product.UpdateProduct(pb.UpdateProductRequest(id="P-1", name="Cup"), CONTEXT)
    await product.UpdateProduct(pb.UpdateProductRequest(id="P-1", name="Cup"), CONTEXT)
    await product.DeleteProduct(pb.DeleteProductRequest(id="P-1"), CONTEXT)
    told = await published(host)
    assert [(kind, key) for kind, key, _ in told] == [
        ("ProductChanged", "P-1"),
        ("ProductChanged", "P-1"),
        ("ProductDeleted", "P-1"),
    ]
    assert pb.ProductChanged.FromString(told[1][2]).product == changed


async def test_a_batch_leaves_out_the_unknown(product: ProductServicer, mug: Any) -> None:
    await product.CreateProduct(mug, CONTEXT)
    request = pb.BatchGetProductsRequest(ids=["P-1", "P-2", "", "P-1"])
    assert [found.id for found in (await product.BatchGetProducts(request, CONTEXT)).products] == ["P-1"]
    assert not (await product.BatchGetProducts(pb.BatchGetProductsRequest(), CONTEXT)).products


async def test_a_batch_is_at_most_100(product: ProductServicer) -> None:
    with pytest.raises(InvalidArgument):
        await product.BatchGetProducts(pb.BatchGetProductsRequest(ids=["P-1"] * 101), CONTEXT)


async def test_the_demo_can_be_loaded_again(product: ProductServicer, parts: ServiceParts) -> None:
    await parts.demo()
    await product.UpdateProduct(pb.UpdateProductRequest(id="P-102", price=1), CONTEXT)
    await product.DeleteProduct(pb.DeleteProductRequest(id="P-103"), CONTEXT)
    await parts.demo()
    ids = [f"P-{number}" for number in range(101, 165)]
    found = {
        item.id: item
        for item in (await product.BatchGetProducts(pb.BatchGetProductsRequest(ids=ids), CONTEXT)).products
    }
    assert sorted(found) == ids
    assert len({item.category for item in found.values()}) == 6
    assert (found["P-101"].price, found["P-101"].currency, found["P-102"].price) == (1200, "EUR", 1)
