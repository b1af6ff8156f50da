"""Filters, sorting and paging; search, its ranking, and whatever may be typed into it."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shop.product.v1 import product_pb2 as pb

from marketplace.product.domain.products import SORTS, Listing, Product, Search
from marketplace.product.domain.words import folded, query_words, words_of
from marketplace.product.service import service
from marketplace.product.servicer import ProductServicer
from marketplace.product.store.products import ProductStore
from souk.kernel.errors import InvalidArgument
from souk.runtime.service import ServiceParts
from souk.store.database import Transaction
from souk.testing.service_host import CallRecord, service_host
from tests.properties import examples

CONTEXT: Any = CallRecord()


async def add(product: ProductServicer, **fields: Any) -> None:
    usual = {"name": "Thing", "category": "home", "price": 100, "currency": "EUR"}
    await product.CreateProduct(pb.CreateProductRequest(**{**usual, **fields}), CONTEXT)


async def walk(call: Any, request: Any) -> list[pb.Product]:
    """Reads every page, from the first to the last."""
    found: list[pb.Product] = []
    while True:
        response = await call(request, CONTEXT)
        assert len(response.products) <= request.page_size
        found += response.products
        if not response.HasField("next_page_token"):
            return found
        assert response.products
        request.page_token = response.next_page_token


async def ids(call: Any, request: Any) -> list[str]:
    return [item.id for item in (await call(request, CONTEXT)).products]


async def test_filters(product: ProductServicer) -> None:
    await add(product, id="a", category="home", price=100)
    await add(product, id="b", category="home", price=200)
    await add(product, id="c", category="toys", price=200)
    assert await ids(product.ListProducts, pb.ListProductsRequest(category="home")) == ["a", "b"]
    assert await ids(product.ListProducts, pb.ListProductsRequest(min_price=200)) == ["b", "c"]
    assert await ids(product.ListProducts, pb.ListProductsRequest(max_price=199)) == ["a"]
    assert await ids(product.ListProducts, pb.ListProductsRequest(category="toys", min_price=201)) == []


async def test_names_sort_without_case(product: ProductServicer) -> None:
    for name in ("banana", "Apple", "apple pie", "Cherry"):
        await add(product, id=name.replace(" ", "-"), name=name)
    assert await ids(product.ListProducts, pb.ListProductsRequest()) == ["Apple", "apple-pie", "banana", "Cherry"]
    assert await ids(product.ListProducts, pb.ListProductsRequest(sort="-name")) == [
        "Cherry",
        "banana",
        "apple-pie",
        "Apple",
    ]


@pytest.mark.parametrize("sort", SORTS)
async def test_every_sort_meets_every_product_once(product: ProductServicer, parts: ServiceParts, sort: str) -> None:
    await parts.demo()
    found = await walk(product.ListProducts, pb.ListProductsRequest(sort=sort, page_size=7))
    assert len(found) == 64
    assert len({item.id for item in found}) == 64
    keys = {
        "name": lambda item: folded(item.name),
        "price": lambda item: item.price,
        "createdAt": lambda item: item.created_at.ToMicroseconds(),
    }
    key = keys[sort.removeprefix("-")]
    assert [key(item) for item in found] == sorted(map(key, found), reverse=sort.startswith("-"))


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListProductsRequest(sort="rating"), "sort"),
        (pb.ListProductsRequest(page_size=0), "page_size"),
        (pb.ListProductsRequest(page_size=101), "page_size"),
        (pb.ListProductsRequest(page_token="garbage!"), "page_token"),
        (pb.ListProductsRequest(min_price=-1), "min_price"),
        (pb.ListProductsRequest(max_price=-1), "max_price"),
        (pb.ListProductsRequest(category="nul \0"), "category"),
    ],
)
async def test_nonsense_is_refused(product: ProductServicer, request_: Any, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await product.ListProducts(request_, CONTEXT)
    assert caught.value.violations[0].field == field


async def test_a_token_belongs_to_its_query(product: ProductServicer, parts: ServiceParts) -> None:
    await parts.demo()
    listed = await product.ListProducts(pb.ListProductsRequest(category="toys", page_size=2), CONTEXT)
    searched = await product.SearchProducts(pb.SearchProductsRequest(q="set", page_size=2), CONTEXT)
    for call, request in (
        (product.ListProducts, pb.ListProductsRequest(page_token=listed.next_page_token)),
        (
            product.ListProducts,
            pb.ListProductsRequest(category="toys", sort="price", page_token=listed.next_page_token),
        ),
        (product.SearchProducts, pb.SearchProductsRequest(q="set", page_token=listed.next_page_token)),
        (product.SearchProducts, pb.SearchProductsRequest(q="box", page_token=searched.next_page_token)),
        (
            product.SearchProducts,
            pb.SearchProductsRequest(q="set", category="toys", page_token=searched.next_page_token),
        ),
    ):
        with pytest.raises(InvalidArgument):
            await call(request, CONTEXT)


async def test_a_name_ranks_above_a_description(product: ProductServicer) -> None:
    for number in range(8):
        await add(product, id=f"other-{number}", name="Lamp", description="Bright.")
    await add(product, id="described", name="Shelf", description="Holds a kettle, for one.")
    await add(product, id="named", name="Kettle", description="Boils water in a minute.")
    assert await ids(product.SearchProducts, pb.SearchProductsRequest(q="kettle")) == ["named", "described"]


async def test_every_word_must_occur_and_the_last_may_be_a_beginning(product: ProductServicer) -> None:
    await add(product, id="mug", name="Coffee Mug")
    await add(product, id="grinder", name="Coffee Grinder")
    assert set(await ids(product.SearchProducts, pb.SearchProductsRequest(q="coff"))) == {"mug", "grinder"}
    assert await ids(product.SearchProducts, pb.SearchProductsRequest(q="COFFEE gri")) == ["grinder"]
    assert await ids(product.SearchProducts, pb.SearchProductsRequest(q="coff grinder")) == []
    assert await ids(product.SearchProducts, pb.SearchProductsRequest(q="mug", category="toys")) == []


async def test_accents_and_joins_do_not_matter(product: ProductServicer) -> None:
    await add(product, id="creme", name="Crème-Brûlée Torch")
    for q in ("creme brulee", "CRÈME", "crème-brûlée", "brulee,torch"):
        assert await ids(product.SearchProducts, pb.SearchProductsRequest(q=q)) == ["creme"], q


async def test_a_changed_product_is_found_by_its_new_words_alone(product: ProductServicer) -> None:
    await add(product, id="x", name="Teapot")
    await product.UpdateProduct(pb.UpdateProductRequest(id="x", name="Samovar"), CONTEXT)
    assert await ids(product.SearchProducts, pb.SearchProductsRequest(q="teapot")) == []
    assert await ids(product.SearchProducts, pb.SearchProductsRequest(q="samovar")) == ["x"]


async def test_search_pages_meet_every_match_once(product: ProductServicer, parts: ServiceParts) -> None:
    await parts.demo()
    request = pb.SearchProductsRequest(q="a", page_size=100)
    whole = [item.id for item in (await product.SearchProducts(request, CONTEXT)).products]
    paged = await walk(product.SearchProducts, pb.SearchProductsRequest(q="a", page_size=3))
    assert [item.id for item in paged] == whole
    assert len(set(whole)) == len(whole) > 10


@pytest.mark.parametrize("q", ["", "x" * 201])
async def test_a_query_has_1_to_200_characters(product: ProductServicer, q: str) -> None:
    with pytest.raises(InvalidArgument):
        await product.SearchProducts(pb.SearchProductsRequest(q=q), CONTEXT)


@pytest.mark.parametrize(
    "q",
    [
        '"',
        "' OR 1=1 --",
        "a AND",
        "NOT",
        "name:mug",
        "mug*",
        "(mug",
        "NEAR(a b, 2)",
        "^mug",
        "-mug",
        "%",
        "!!!",
    ],
)
async def test_syntax_of_engines_is_only_text(product: ProductServicer, q: str) -> None:
    await product.SearchProducts(pb.SearchProductsRequest(q=q), CONTEXT)


@pytest.mark.hypothesis
def test_arbitrary_text_can_be_searched_for(tmp_path: Path) -> None:
    """Whatever is stored and typed, the search answers; and a product is found by words of its name."""

    async def try_out(name: str, q: str) -> None:
        async with service_host(service, tmp_path) as host:
            store = ProductStore(host.outbox)
            stored = Product("P-1", name, q, "any", 1, "EUR", None, 1, 1)

            async def put(tx: Transaction) -> None:
                if await store.lock(tx, "P-1") is None:
                    await store.add(tx, stored)
                else:
                    await store.update(tx, stored)

            await host.database.run(put)

            async def found(words: Sequence[str]) -> list[str]:
                page = await host.database.read(lambda tx: store.search(tx, Search(words), None, 10))
                return [listed.product.id for listed in page.listed]

            words = query_words(q)
            if words:
                await found(words)
            known = [word for word in words_of(name)[:3] if word.isascii()]
            if known:
                assert await found(known) == ["P-1"]

    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)

    @settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
    @given(text, text)
    def check(name: str, q: str) -> None:
        asyncio.run(try_out(name, q))

    check()


@given(st.text(max_size=200))
def test_query_words_hold_letters_and_digits_only(text: str) -> None:
    words = query_words(text)
    assert all(word.isalnum() and len(word) <= 64 for word in words)
    assert len(set(words)) == len(words) <= 32


@pytest.mark.hypothesis
def test_pages_of_any_size_meet_every_product_once(tmp_path: Path) -> None:
    """Whatever is equal to what, in every order."""

    async def try_out(rows: list[tuple[str, int]], size: int) -> None:
        async with service_host(service, tmp_path) as host:
            for table in ("product_search", "products"):
                await host.database.run(lambda tx, table=table: tx.execute(f"DELETE FROM {table}"))
            store, read = ProductStore(host.outbox), host.database.read
            for number, (name, price) in enumerate(rows):
                mug = Product(f"P-{number}", name, "mug", "any", price, "EUR", None, price, price)
                await host.database.run(partial(store.add, product=mug))
            for sort in SORTS:
                listed = partial(store.list, listing=Listing(sort=sort))
                whole = await read(partial(listed, after=None, limit=1_000))
                assert sorted(placed.product.id for placed in whole) == sorted(f"P-{n}" for n in range(len(rows)))
                assert await pages(lambda after, of=listed: read(partial(of, after=after, limit=size))) == list(whole)
            matched = partial(store.search, wanted=Search(("mug",)))

            async def of_matches(after: Any) -> Any:
                return (await read(partial(matched, after=after, limit=size))).listed

            matches = await pages(of_matches)
            assert len({placed.product.id for placed in matches}) == len(matches) == len(rows)

    async def pages(page: Any) -> list[Any]:
        found: list[Any] = []
        while some := await page(found[-1].cursor if found else None):
            found += some
        return found

    names = st.sampled_from(["a", "A", "b", "é", "ä b", "ab", "-"])

    @settings(max_examples=examples(15), deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(names, st.integers(0, 3)), max_size=9), st.integers(1, 4))
    def check(rows: list[tuple[str, int]], size: int) -> None:
        asyncio.run(try_out(rows, size))

    check()


def test_a_list_has_nothing_of_a_search_which_can_be_read_as_one() -> None:
    listed, found = (one.DESCRIPTOR.fields for one in (pb.ListProductsResponse, pb.SearchProductsResponse))
    assert [one.name for one in listed] == ["products", "next_page_token"]
    assert [(one.name, one.number) for one in found[:2]] == [(one.name, one.number) for one in listed]
