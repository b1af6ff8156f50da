"""Search with an engine that is made up: who answers, when the database does, and what the index is told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from shop.product.v1 import product_pb2 as pb
from soukapi.v1.event_pb2 import Event

from marketplace.product.adapters.search.by_url import open_engine
from marketplace.product.adapters.search.guarded import BREAKER, GuardedEngine
from marketplace.product.background import IndexKeeper
from marketplace.product.consumers import index_change
from marketplace.product.domain.products import NOTHING_FOUND, Cursor, Search
from marketplace.product.ports import EnginePage, IndexChange, ProductRefused, SearchEngine, SearchUnavailable
from marketplace.product.servicer import ProductServicer
from marketplace.product.use_cases import rebuild_index
from marketplace.product.use_cases.index_products import ProductIndexer
from marketplace.product.use_cases.rebuild_index import SearchIndexProjection
from souk.kernel.errors import ConfigurationError, InvalidArgument, PoisonedEvent
from souk.projections.rebuild import Rebuild, RebuildHeld
from souk.resilience.breaker.breaker import Breaker
from souk.runtime.service import ServiceContext
from souk.testing.clocks import FakeClock
from souk.testing.service_host import CallRecord


class FakeEngine:
    """Finds what it is given to find, and keeps what is written as an engine does: the greater version stays.

    `indices` are what it has, by name; `begun` are all that were begun.
    """

    name = "opensearch"

    def __init__(self) -> None:
        self.found: Sequence[Cursor] = ()
        self.fails: SearchUnavailable | None = None
        self.refuses: str = ""
        self.indices: dict[str, dict[str, IndexChange]] = {"first": {}}
        self.searched: str | None = "first"
        self.next: str | None = None
        self.begun: list[str] = []
        self.filling = asyncio.Event()
        self.requests: list[int] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    @property
    def kept(self) -> dict[str, IndexChange]:
        assert self.searched is not None
        return self.indices[self.searched]

    async def search(self, wanted: Search, after: Cursor | None, limit: int) -> EnginePage:
        if self.fails is not None:
            raise self.fails
        return EnginePage(self.found, NOTHING_FOUND.facets, ())

    async def write(self, changes: Sequence[IndexChange]) -> Sequence[ProductRefused | None]:
        self.requests.append(len(changes))
        await self.go_on.wait()
        if self.fails is not None:
            raise self.fails
        for name in (self.searched, self.next):
            if name is not None:
                self._keep(name, changes)
        return [ProductRefused("no") if change.product_id == self.refuses else None for change in changes]

    def _keep(self, name: str, changes: Sequence[IndexChange]) -> None:
        index = self.indices[name]
        for change in changes:
            if change.product_id not in index or index[change.product_id].version < change.version:
                index[change.product_id] = change

    async def versions(self, product_ids: Sequence[str]) -> dict[str, int]:
        return {one: self.kept[one].version for one in product_ids if one in self.kept}

    async def live(self) -> str | None:
        if self.fails is not None:
            raise self.fails
        return self.searched

    async def building(self) -> str | None:
        return self.next

    async def begin(self, generation: int) -> str:
        if self.next is not None:
            del self.indices[self.next]
        self.next = f"{generation}-{len(self.begun)}"
        self.begun.append(self.next)
        self.indices[self.next] = {}
        return self.next

    async def fill(self, changes: Sequence[IndexChange]) -> None:
        self.filling.set()
        await self.go_on.wait()
        if self.next is None:
            raise SearchUnavailable("no-index", "none is built")
        self._keep(self.next, changes)

    async def switch(self, generation: int) -> None:
        if self.next is not None:
            self.indices = {self.next: self.indices[self.next]}
            self.searched, self.next = self.next, None


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def shop(product: Any, engine: FakeEngine, clock: FakeClock) -> ProductServicer:
    guarded = GuardedEngine(cast(SearchEngine, engine), Breaker(BREAKER), clock)
    return ProductServicer(replace(product._deps, engine=guarded))


@pytest.fixture
def indexer(product: Any, engine: FakeEngine) -> ProductIndexer:
    return ProductIndexer(product._deps, cast(SearchEngine, engine))


async def search(shop: Any, **wanted: Any) -> tuple[list[str], str, str]:
    record: Any = CallRecord()
    found = await shop.SearchProducts(pb.SearchProductsRequest(q="mug", **wanted), record)
    return [one.id for one in found.products], record.trailing["x-search-backend"], found.next_page_token


def event(kind: Any, product_id: str, micros: int) -> Event:
    time = Timestamp()
    time.FromMicroseconds(micros)
    return Event(id="EVT-1", type=kind.DESCRIPTOR.full_name, key=product_id, time=time)


async def test_the_engine_answers_with_products_as_they_are_now(shop: Any, engine: FakeEngine, mug: Any) -> None:
    await shop.CreateProduct(mug, None)
    engine.found = [Cursor(7, "P-gone"), Cursor(5, "P-1")]
    assert (await search(shop))[:2] == (["P-1"], "opensearch")


async def test_the_database_answers_when_the_engine_does_not(
    shop: Any, engine: FakeEngine, mug: Any, clock: FakeClock
) -> None:
    await shop.CreateProduct(mug, None)
    engine.fails = SearchUnavailable("timeout", "slow")
    for _ in range(BREAKER.minimum_calls):
        assert (await search(shop))[:2] == (["P-1"], "database; reason=timeout")
    engine.fails, engine.found = None, [Cursor(5, "P-1")]
    assert (await search(shop))[1] == "database; reason=breaker-open"
    clock.advance(60)
    assert (await search(shop))[1] == "opensearch"


async def test_without_an_engine_the_database_says_so(product: Any) -> None:
    assert (await search(product))[1] == "database"


async def test_a_page_after_one_of_the_database_is_the_databases(shop: Any, engine: FakeEngine, mug: Any) -> None:
    for number in range(3):
        mug.id = f"P-{number}"
        await shop.CreateProduct(mug, None)
    engine.fails = SearchUnavailable("timeout", "slow")
    first, _, token = await search(shop, page_size=2)
    engine.fails, engine.found = None, [Cursor(5, "P-0")]
    rest, backend, _ = await search(shop, page_size=2, page_token=token)
    assert sorted([*first, *rest]) == ["P-0", "P-1", "P-2"]
    assert backend == "database"


async def test_a_page_after_one_of_the_engine_is_refused_without_it(shop: Any, engine: FakeEngine, mug: Any) -> None:
    await shop.CreateProduct(mug, None)
    engine.found = [Cursor(5, "P-1"), Cursor(4, "P-2")]
    _, _, token = await search(shop, page_size=1)
    engine.fails = SearchUnavailable("unreachable", "away")
    with pytest.raises(InvalidArgument, match="begin the search again"):
        await search(shop, page_size=1, page_token=token)


async def test_an_event_of_before_writes_what_is_now(
    product: Any, indexer: ProductIndexer, engine: FakeEngine, mug: Any, clock: FakeClock
) -> None:
    created = await product.CreateProduct(mug, None)
    before = created.updated_at.ToMicroseconds()
    clock.advance(1)
    await product.UpdateProduct(pb.UpdateProductRequest(id="P-1", name="Cup"), None)
    await index_change(indexer._deps, indexer, event(pb.ProductChanged, "P-1", before))
    written = engine.kept["P-1"]
    assert written.product is not None
    assert (written.product.name, written.version) == ("Cup", clock.now())
    await product.DeleteProduct(pb.DeleteProductRequest(id="P-1"), None)
    await index_change(indexer._deps, indexer, event(pb.ProductDeleted, "P-1", clock.now() + 1))
    await index_change(indexer._deps, indexer, event(pb.ProductChanged, "P-1", before))
    assert engine.kept["P-1"].product is None


async def test_a_deletion_is_later_than_what_it_deletes_whatever_the_clock_shows(
    product: Any, host: Any, mug: Any, clock: FakeClock
) -> None:
    created = await product.CreateProduct(mug, None)
    clock.advance(-3_600)
    changed = await product.UpdateProduct(pb.UpdateProductRequest(id="P-1", name="Cup"), None)
    await product.DeleteProduct(pb.DeleteProductRequest(id="P-1"), None)
    row = await host.database.read(lambda tx: tx.fetch("SELECT payload FROM souk_outbox ORDER BY seq"))
    deleted = pb.ProductDeleted.FromString(row[-1]["payload"])
    times = [one.ToMicroseconds() for one in (created.updated_at, changed.updated_at, deleted.deleted_at)]
    assert times == sorted(set(times))


async def test_changes_that_wait_go_in_one_request(indexer: ProductIndexer, engine: FakeEngine) -> None:
    engine.go_on.clear()
    waiting = [asyncio.create_task(indexer.index(f"P-{number}", 1)) for number in range(10)]
    while not engine.requests:
        await asyncio.sleep(0)
    waiting += [asyncio.create_task(indexer.index(f"P-{number}", 1)) for number in range(10, 20)]
    await asyncio.sleep(0)
    engine.go_on.set()
    await asyncio.gather(*waiting)
    assert sum(engine.requests) == 20
    assert len(engine.requests) <= 3


async def test_what_is_refused_is_poisoned_and_the_others_go_on(indexer: ProductIndexer, engine: FakeEngine) -> None:
    engine.refuses = "P-1"
    ends = await asyncio.gather(
        *(index_change(indexer._deps, indexer, event(pb.ProductDeleted, f"P-{number}", 1)) for number in range(3)),
        return_exceptions=True,
    )
    assert [type(end) for end in ends] == [type(None), PoisonedEvent, type(None)]


async def test_an_event_waits_for_an_engine_that_is_away(indexer: ProductIndexer, engine: FakeEngine) -> None:
    engine.fails = SearchUnavailable("unreachable", "away")
    with pytest.raises(ConnectionError):
        await index_change(indexer._deps, indexer, event(pb.ProductDeleted, "P-1", 1))
    engine.fails = None
    await index_change(indexer._deps, indexer, event(pb.ProductDeleted, "P-1", 1))
    assert "P-1" in engine.kept


def keeper_of(host: ServiceContext, product: Any, engine: FakeEngine) -> IndexKeeper:
    """Makes the keeper of another process."""
    port = cast(SearchEngine, engine)
    rebuild = Rebuild("product.search-index", SearchIndexProjection(product._deps, port), host.database, rest=0.0)
    return IndexKeeper(product._deps, port, rebuild)


async def test_an_index_is_built_where_there_is_none(host: Any, product: Any, parts: Any, engine: FakeEngine) -> None:
    await parts.demo()
    engine.indices, engine.searched = {}, None
    keeper = keeper_of(host, product, engine)
    await keeper.check()
    assert not keeper.is_current, "it is looked at again"
    await keeper.check()
    assert (keeper.is_current, len(engine.begun), len(engine.kept)) == (True, 1, 64)


async def test_an_index_that_a_change_has_not_reached_is_built_anew(
    host: Any, product: Any, parts: Any, engine: FakeEngine
) -> None:
    await parts.demo()
    keeper = keeper_of(host, product, engine)
    for built in (1, 2):
        await keeper.check()
        await keeper.check()
        assert (keeper.is_current, len(engine.begun), len(engine.kept)) == (True, built, 64)
        # The system runs without an engine now.
        await index_change(product._deps, None, event(pb.ProductDeleted, "P-123", 1))
    await product.DeleteProduct(pb.DeleteProductRequest(id="P-123"), None)
    engine.fails = SearchUnavailable("unreachable", "away")
    with pytest.raises(SearchUnavailable):
        await keeper.check()
    engine.fails = None
    await keeper.check()
    assert (len(engine.begun), len(engine.kept)) == (3, 63)


async def test_a_change_without_an_engine_while_an_index_is_built_is_not_forgotten(
    host: Any, product: Any, parts: Any, engine: FakeEngine
) -> None:
    await parts.demo()
    keeper = keeper_of(host, product, engine)
    engine.go_on.clear()
    building = asyncio.create_task(keeper.check())
    await engine.filling.wait()
    await index_change(product._deps, None, event(pb.ProductChanged, "P-123", 1))
    engine.go_on.set()
    await building
    await keeper.check()
    assert len(engine.begun) == 2


def noting_steps(keeper: IndexKeeper, monkeypatch: pytest.MonkeyPatch) -> tuple["asyncio.Task[None]", asyncio.Event]:
    """Has a keeper check; the event says when the rebuild has given it a step."""
    given, follow = asyncio.Event(), keeper._follow

    async def noted(steps: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for step in steps:
            given.set()
            yield step

    monkeypatch.setattr(keeper, "_follow", lambda steps, why: follow(noted(steps), why))
    return asyncio.create_task(keeper.check()), given


async def test_two_processes_build_one_index(
    host: Any, product: Any, parts: Any, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await parts.demo()
    first, second = (keeper_of(host, product, engine) for _ in range(2))
    engine.go_on.clear()
    building = asyncio.create_task(first.check())
    await engine.filling.wait()
    with pytest.raises(RebuildHeld):
        await keeper_of(host, product, FakeEngine()).check()  # it has seen the engine before the other began
    joined, joining = noting_steps(second, monkeypatch)
    await joining.wait()
    engine.go_on.set()
    await asyncio.gather(building, joined)
    await second.check()
    assert (second.is_current, len(engine.begun), len(engine.kept)) == (True, 1, 64)


async def test_what_was_begun_is_gone_on_with_if_it_has_every_change(
    host: Any, product: Any, parts: Any, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild_index, "BATCH", 10)
    await parts.demo()
    engine.indices, engine.searched = {}, None
    keeper = keeper_of(host, product, engine)
    for changed, begun in ((False, 1), (True, 2)):
        async with aclosing(keeper._rebuild.run()) as steps:
            async for step in steps:
                if step.record.done:
                    break
        if changed:
            await index_change(product._deps, None, event(pb.ProductChanged, "P-123", 1))
        await keeper.check()
        await keeper.check()
        assert (keeper.is_current, len(engine.kept), len(engine.begun)) == (True, 64, begun + changed)


async def test_anew_begins_with_an_empty_index(host: Any, product: Any, parts: Any, engine: FakeEngine) -> None:
    await parts.demo()
    rebuild = keeper_of(host, product, engine)._rebuild
    async with aclosing(rebuild.run()) as steps:
        async for step in steps:
            if step.record.done:
                break
    assert engine.next is not None
    engine.indices[engine.next]["P-left-over"] = IndexChange("P-left-over", 1, None)
    async with aclosing(rebuild.run(anew=True)) as steps:
        async for _ in steps:
            pass
    assert (len(engine.begun), len(engine.kept), "P-left-over" in engine.kept) == (2, 64, False)


async def test_a_check_names_each_product_that_the_index_has_otherwise(
    host: Any, product: Any, parts: Any, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild_index, "BATCH", 10)
    await parts.demo()
    projection = SearchIndexProjection(product._deps, cast(SearchEngine, engine))
    assert await projection.count() == 64

    async def differences() -> list[str]:
        found, after, count = [], "", 0
        while (compared := await projection.compare(after)) is not None:
            after, count = compared.after, count + compared.count
            found += [line.partition(":")[0] for line in compared.differences]
        assert count == 64
        return found

    assert len(await differences()) == 64
    await keeper_of(host, product, engine).check()
    assert await differences() == []
    del engine.kept["P-101"]
    engine.kept["P-123"] = replace(engine.kept["P-123"], version=1)
    assert await differences() == ["P-101", "P-123"]


@pytest.mark.parametrize(
    "url", ["solr://host", "opensearch://", "opensearch://host?shards=1", "opensearch://host?analysis=best"]
)
def test_a_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="SOUK_SEARCH"):
        open_engine(url)
