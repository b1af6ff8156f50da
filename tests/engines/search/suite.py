"""What every search engine has to do for Product: `marketplace.product.ports.SearchEngine`."""

import asyncio
from typing import Any

import pytest

from marketplace.product.adapters.search.engine import Engine
from marketplace.product.demo import demo_products
from marketplace.product.domain.products import (
    PRICE_RANGES,
    RELEVANCE,
    SORTS,
    Listing,
    Product,
    Search,
)
from marketplace.product.domain.words import folded, query_words
from marketplace.product.ports import IndexChange, SearchUnavailable

DEMO = {product.id: product for product in demo_products(1_800_000_000_000_000)}
HEADPHONES, SPEAKER = "P-123", "P-128"


def change(product: Product) -> IndexChange:
    return IndexChange(product.id, product.updated_at, product)


def product(product_id: str, name: str, version: int = 1, **fields: Any) -> Product:
    usual = {"description": "", "category": "home", "price": 100, "currency": "EUR", "image_url": None}
    return Product(id=product_id, name=name, created_at=1, updated_at=version, **{**usual, **fields})


def search(q: str, sort: str = RELEVANCE, **filters: Any) -> Search:
    return Search(query_words(q), Listing(sort, **filters))


async def build(engine: Engine, products: Any = ()) -> None:
    await engine.begin(1)
    if changes := [change(one) for one in products]:
        await engine.fill(changes)
    await engine.switch(1)
    await answers(engine)


async def answers(engine: Engine) -> None:
    """Waits until a search ends within its limit: on a busy machine the first ones of a fresh engine do not."""
    async with asyncio.timeout(120):
        while True:
            try:
                await engine.search(search("anything"), None, 1)
            except SearchUnavailable as error:
                if error.reason != "timeout":
                    raise
            else:
                return


async def ids(engine: Engine, q: str, **wanted: Any) -> list[str]:
    return [one.product_id for one in (await engine.search(search(q, **wanted), None, 100)).cursors]


async def eventually(engine: Engine, q: str, expected: list[str]) -> None:
    """Waits until a search finds exactly these, which it does once the engine has refreshed."""
    async with asyncio.timeout(120):
        while await ids(engine, q) != expected:
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("patient_searches")
class SearchEngineSuite:
    """The fixture `engine` gives an engine without an index, and `shop` one with the demo catalogue."""

    @pytest.fixture
    async def shop(self, engine: Engine) -> Engine:
        await build(engine, DEMO.values())
        return engine

    async def test_words_must_occur_and_the_last_may_be_a_beginning(self, shop: Engine) -> None:
        assert set(await ids(shop, "coffee")) == set(await ids(shop, "coff")) != set()
        assert await ids(shop, "COFFEE gri") == ["P-107"]
        assert await ids(shop, "coff grinder zzzz") == []

    async def test_the_name_ranks_above_the_description(self, shop: Engine) -> None:
        first, *rest = await ids(shop, "headphones")
        assert first == HEADPHONES
        assert (await ids(shop, "kettle"))[0] == "P-106"
        assert HEADPHONES not in rest

    @pytest.mark.parametrize("q", ["headphnes", "haedphones", "HEADPHONNES", "wireles headphnes"])
    async def test_a_typing_mistake_finds_what_was_meant(self, shop: Engine, q: str) -> None:
        assert (await ids(shop, q))[0] == HEADPHONES

    async def test_nothing_is_corrected_while_words_are_found_as_they_are(self, engine: Engine) -> None:
        await build(engine, [product("a", "Hedphones"), product("b", "Headphones")])
        assert await ids(engine, "hedphones") == ["a"]
        assert await ids(engine, "hedphones", category="toys") == []

    async def test_case_and_accents_do_not_matter(self, engine: Engine) -> None:
        await build(engine, [product("a", "Crème-Brûlée Torch")])
        for q in ("creme brulee", "CRÈME", "brulee,torch"):
            assert await ids(engine, q) == ["a"]

    @pytest.mark.parametrize("sort", [RELEVANCE, *SORTS])
    async def test_pages_meet_every_match_once(self, shop: Engine, sort: str) -> None:
        wanted, after, found = search("cotton", sort), None, []
        while page := (await shop.search(wanted, after, 2)).cursors:
            found += [one.product_id for one in page]
            after = page[-1]
        assert sorted(found) == sorted(await ids(shop, "cotton"))
        assert len(set(found)) == len(found) > 3
        keys = {
            "name": lambda one: folded(one.name),
            "price": lambda one: one.price,
            "createdAt": lambda one: one.created_at,
            RELEVANCE: lambda _: 0,
        }
        got = [keys[sort.removeprefix("-")](DEMO[one]) for one in found]
        assert got == sorted(got, reverse=sort.startswith("-"))

    async def test_facets_say_what_another_choice_would_find(self, shop: Engine) -> None:
        facets = (await shop.search(search("cotton"), None, 100)).facets
        assert sum(facets.categories.values()) == sum(facets.prices.values()) == len(await ids(shop, "cotton"))
        for category, count in facets.categories.items():
            page = await shop.search(search("cotton", category=category), None, 100)
            assert len(page.cursors) == count
            assert page.facets.categories == facets.categories
            assert sum(page.facets.prices.values()) == count
        for one in PRICE_RANGES:
            page = await shop.search(search("cotton", min_price=one.min_price, max_price=one.max_price), None, 100)
            assert len(page.cursors) == facets.prices[one]
            assert page.facets.prices == facets.prices

    async def test_suggestions_are_names(self, shop: Engine) -> None:
        assert set((await shop.search(search("cof"), None, 1)).suggestions) == {
            "Burr Coffee Grinder",
            "Pour-Over Coffee Dripper",
        }
        assert (await shop.search(search("headphnes"), None, 1)).suggestions == ["Wireless Headphones"]

    async def test_an_older_change_never_overwrites_a_newer_one(self, engine: Engine) -> None:
        await build(engine)
        new, old = product("a", "Samovar", 5), product("a", "Teapot", 4)
        for written in (new, old, product("a", "Kettle", 5)):
            assert await engine.write([change(written)]) == [None]
        await eventually(engine, "samovar", ["a"])
        assert await ids(engine, "teapot") == await ids(engine, "kettle") == []

    async def test_a_deleted_product_does_not_come_back(self, engine: Engine) -> None:
        await build(engine, [product("a", "Samovar", 1), product("b", "Samovar two", 1)])
        await engine.write([IndexChange("a", 3, None)])
        await engine.write([change(product("a", "Samovar again", 2))])
        await eventually(engine, "samovar", ["b"])
        facets = (await engine.search(search("samovar"), None, 1)).facets
        assert sum(facets.categories.values()) == 1
        await engine.write([change(product("a", "Samovar anew", 4))])
        await eventually(engine, "anew", ["a"])

    async def test_versions_are_those_of_the_last_changes(self, engine: Engine) -> None:
        await build(engine, [product("a", "Mug", 3), product("b", "Mug", 4)])
        await engine.write([change(product("a", "Mug", 7)), change(product("b", "Mug", 2))])
        assert await engine.versions(["a", "b", "c"]) == {"a": 7, "b": 4}
        assert await engine.versions([]) == {}

    async def test_without_an_index_nothing_is_lost_silently(self, engine: Engine) -> None:
        assert (await engine.live(), await engine.building()) == (None, None)
        with pytest.raises(SearchUnavailable) as caught:
            await engine.search(search("mug"), None, 1)
        assert caught.value.reason == "no-index"
        with pytest.raises(SearchUnavailable) as caught:
            await engine.write([change(product("a", "Mug"))])
        assert caught.value.reason == "no-index"
        with pytest.raises(SearchUnavailable) as caught:
            await engine.versions(["a"])
        assert caught.value.reason == "no-index"

    async def test_a_new_index_is_built_beside_the_one_in_use(self, engine: Engine) -> None:
        await build(engine, [product("a", "Mug one", 1), product("b", "Mug two", 1), product("c", "Mug three", 1)])
        old, new = await engine.live(), await engine.begin(2)
        assert await engine.building() == new != old
        await engine.write([change(product("a", "Cup", 2)), IndexChange("b", 2, None), change(product("d", "Cup", 2))])
        # The catalogue was read before those changes, and is written after them.
        await engine.fill([change(product("a", "Mug one", 1)), change(product("b", "Mug two", 1))])
        await eventually(engine, "mug", ["c"])
        await engine.fill([change(product("c", "Mug three", 1))])
        await engine.switch(2)
        assert (await engine.live(), await engine.building()) == (new, None)
        await engine.switch(2)  # as after a crash
        assert await engine.live() == new
        assert await ids(engine, "mug") == ["c"]
        assert await ids(engine, "cup") == ["a", "d"]
        await engine.write([change(product("c", "Cup", 2))])
        await eventually(engine, "cup", ["a", "c", "d"])

    async def test_what_is_begun_anew_is_empty_and_alone(self, engine: Engine) -> None:
        await build(engine, [product("a", "Mug", 1)])
        first = await engine.begin(2)
        await engine.fill([change(product("b", "Left over", 1))])
        second = await engine.begin(3)
        assert await engine.building() == second != first
        assert await engine.write([change(product("a", "Mug", 2))]) == [None]  # as two would take no changes
        await engine.switch(2)  # as by a process that was taken for dead
        assert await engine.building() == second
        await engine.fill([change(product("c", "Cup", 1))])
        await engine.switch(3)
        assert await engine.live() == second
        assert await engine.versions(["a", "b", "c"]) == {"a": 2, "c": 1}

    @pytest.mark.parametrize("q", ['"', "a AND", "name:mug", "mug*", "(mug", "-mug", "mug~2", "\\", "/a/"])
    async def test_syntax_is_only_text(self, shop: Engine, q: str) -> None:
        if query_words(q):
            await ids(shop, q)
