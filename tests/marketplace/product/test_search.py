"""Search on both databases: typing mistakes, facets, filters, orders, suggestions."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from shop.product.v1 import product_pb2 as pb

from marketplace.product.service import service
from marketplace.product.store.typos import edits_allowed, edits_between, trigrams
from souk.kernel.errors import InvalidArgument
from souk.runtime.service import ServiceContext
from souk.testing.service_host import CallRecord, HeldToContract, service_host

CONTEXT: Any = CallRecord()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else None


@pytest.fixture
async def either(url: str | None, tmp_path: Path) -> AsyncIterator[ServiceContext]:
    async with service_host(service, tmp_path, postgres_url=url) as host:
        yield host


@pytest.fixture
async def shop(either: ServiceContext) -> Any:
    parts = await service.build(either)
    await parts.demo()
    return HeldToContract(parts.servicer)


async def search(shop: Any, q: str, **wanted: Any) -> pb.SearchProductsResponse:
    found: pb.SearchProductsResponse = await shop.SearchProducts(pb.SearchProductsRequest(q=q, **wanted), CONTEXT)
    return found


async def names(shop: Any, q: str, **wanted: Any) -> list[str]:
    return [item.name for item in (await search(shop, q, **wanted)).products]


async def add(shop: Any, **fields: Any) -> None:
    usual = {"name": "Thing", "category": "home", "price": 100, "currency": "EUR"}
    await shop.CreateProduct(pb.CreateProductRequest(**{**usual, **fields}), CONTEXT)


@pytest.mark.parametrize(
    "q",
    [
        *("headphnes", "haedphones", "hedphones", "headphoness", "headfones", "HEADPHNES", "wireles headphnes"),
        *("headphn", "headfo", "wireless haedp"),
    ],
)
async def test_a_typing_mistake_finds_what_was_meant(shop: Any, q: str) -> None:
    assert (await names(shop, q))[0] == "Wireless Headphones"


@pytest.mark.parametrize("q", ["hxxdphxxs", "zzz", "qu", "headphnes mxg", "a b c d e f g h headphnes"])
async def test_what_is_like_nothing_finds_nothing(shop: Any, q: str) -> None:
    found = await search(shop, q)
    assert not found.products
    assert not found.suggestions
    assert not found.facets.categories


async def test_nothing_is_corrected_while_words_are_found_as_they_are(shop: Any) -> None:
    await add(shop, id="typo", name="Hedphones")
    assert await names(shop, "hedphones") == ["Hedphones"]
    assert "Hedphones" not in await names(shop, "headphones")


async def test_a_word_that_no_product_has_any_more_keeps_none_from_being_found(shop: Any) -> None:
    await add(shop, id="typo", name="Headphnes")
    assert await names(shop, "headphnes") == ["Headphnes"]
    await shop.DeleteProduct(pb.DeleteProductRequest(id="typo"), CONTEXT)
    assert await names(shop, "headphnes") == ["Wireless Headphones"]


async def test_fewer_mistakes_come_before_more(shop: Any) -> None:
    await add(shop, id="one", name="Xylophone")
    await add(shop, id="two", name="Xylobone")
    assert await names(shop, "xylofone") == ["Xylobone"]


async def test_pages_of_a_corrected_search_meet_every_match_once(shop: Any) -> None:
    whole = await names(shop, "cotten", page_size=100)
    assert len(whole) > 3
    paged, token = [], ""
    while True:
        page = await search(shop, "cotten", page_size=2, page_token=token)
        paged += [item.name for item in page.products]
        token = page.next_page_token
        if not token:
            break
    assert paged == whole


async def test_facets_say_what_another_choice_would_find(shop: Any) -> None:
    def counted(found: pb.SearchProductsResponse) -> tuple[dict[str, int], dict[int, int]]:
        facets = found.facets
        return {one.category: one.count for one in facets.categories}, {
            one.min_price: one.count for one in facets.price_ranges
        }

    every = await search(shop, "cotton", page_size=100)
    categories, prices = counted(every)
    assert sum(categories.values()) == sum(prices.values()) == len(every.products)
    for category, count in categories.items():
        of_it = await search(shop, "cotton", category=category, page_size=100)
        assert len(of_it.products) == count
        assert counted(of_it)[0] == categories
        assert sum(counted(of_it)[1].values()) == count
    for one in every.facets.price_ranges:
        limits = {"min_price": one.min_price, **({"max_price": one.max_price} if one.HasField("max_price") else {})}
        of_it = await search(shop, "cotton", **limits, page_size=100)
        assert len(of_it.products) == one.count
        assert counted(of_it)[1] == prices
        assert sum(counted(of_it)[0].values()) == one.count
    assert [one.min_price for one in every.facets.price_ranges] == [0, 1_000, 2_500, 5_000, 10_000]
    assert list(categories.values()) == sorted(categories.values(), reverse=True)


@pytest.mark.parametrize("sort", ["name", "-name", "price", "-price", "createdAt", "-createdAt"])
async def test_a_search_can_be_sorted(shop: Any, sort: str) -> None:
    column = {"name": "name", "price": "price", "createdAt": "created_at"}[sort.removeprefix("-")]

    def key(item: pb.Product) -> Any:
        value = getattr(item, column)
        return value.ToMicroseconds() if column == "created_at" else value

    found, token = [], ""
    while True:
        page = await search(shop, "cotton", sort=sort, page_size=2, page_token=token)
        found += page.products
        token = page.next_page_token
        if not token:
            break
    assert [key(item) for item in found] == sorted(map(key, found), reverse=sort.startswith("-"))
    assert {item.name for item in found} == set(await names(shop, "cotton", page_size=100))


async def test_suggestions_are_names_that_the_words_may_become(shop: Any) -> None:
    assert (await search(shop, "cof")).suggestions == ["Burr Coffee Grinder", "Pour-Over Coffee Dripper"]
    assert set((await search(shop, "head")).suggestions) == {"Wireless Headphones", "Headlamp 400 lm"}
    assert (await search(shop, "headphnes")).suggestions == ["Wireless Headphones"]
    assert len((await search(shop, "s")).suggestions) == 5
    assert not (await search(shop, "dishwasher")).suggestions  # only descriptions have it


@pytest.mark.parametrize(
    ("wanted", "field"),
    [({"sort": "rating"}, "sort"), ({"min_price": -1}, "min_price"), ({"max_price": 2**60}, "max_price")],
)
async def test_filters_and_orders_are_checked(shop: Any, wanted: Any, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await search(shop, "mug", **wanted)
    assert [violation.field for violation in caught.value.violations] == [field]


async def test_a_catalogue_from_before_has_its_words_too(either: ServiceContext) -> None:
    """What the migration makes of the full-text index is what the code makes of new products."""
    parts = await service.build(either)
    await parts.demo()
    await add(
        HeldToContract(parts.servicer), id="x", name="Crème brûlée 東京 \N{GRINNING FACE}", description="a ab 100"
    )

    async def all_words(tx: Any) -> set[tuple[str, str]]:
        rows = await tx.fetch("SELECT trigram, word FROM product_trigrams")
        return {(row["trigram"], row["word"]) for row in rows}

    learnt = await either.database.read(all_words)
    assert service.migrations is not None
    sql = (service.migrations / f"0002_search_words.{either.database.dialect.name}.sql").read_text()
    statements = [one.strip() for one in sql.split(";") if one.strip()]

    async def again(tx: Any) -> None:
        await tx.execute("DROP TABLE product_trigrams")
        for statement in statements:
            await tx.execute(statement)

    await either.database.run(again)
    assert await either.database.read(all_words) == learnt


@pytest.mark.parametrize(
    ("typed", "word", "edits"),
    [
        ("mug", "mug", 0),
        ("mgu", "mug", 1),
        ("mg", "mug", 1),
        ("muug", "mug", 1),
        ("rug", "mug", 1),
        ("", "mug", 3),
        ("mug", "", 3),
        ("ca", "abc", 3),
        ("headphnes", "headphones", 1),
        ("haedphnes", "headphones", 2),
    ],
)
def test_edits(typed: str, word: str, edits: int) -> None:
    assert edits_between(typed, word) == edits


def test_edits_of_a_beginning() -> None:
    assert edits_between("headphn", "headphones", is_prefix=True) == 1
    assert edits_between("head", "headphones", is_prefix=True) == 0
    assert edits_between("", "headphones", is_prefix=True) == 0


def test_trigrams_have_the_ends_of_a_word() -> None:
    assert trigrams("mug") == ["  m", " mu", "mug", "ug "]
    assert trigrams("mu", is_prefix=True) == ["  m", " mu"]
    assert [edits_allowed(word) for word in ("ab", "abc", "abcde", "abcdef")] == [0, 1, 1, 2]
