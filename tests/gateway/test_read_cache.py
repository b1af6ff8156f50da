"""The cache of public reads: who is answered from it, for how long, and what many readers at once cost."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import generate_latest
from shop.product.v1 import product_pb2

from souk.descriptors.contract import contract_of
from souk.gateway.auth.cookies import ACCESS
from souk.gateway.limits.limiter import LimitMode, RateLimits
from souk.gateway.limits.memory import MemoryQuotas
from souk.gateway.limits.policies_file import from_mapping
from souk.gateway.public_reads.cached_pipeline import cacheable
from souk.gateway.public_reads.request_directives import oldest_wanted
from souk.gateway.settings import GatewaySettings
from souk.kernel.errors import DomainError

PRODUCT = "/api/v1/products/P-1"
GET_PRODUCT = "/shop.product.v1.ProductService/GetProduct"
FRESH = 5.0


@pytest.fixture
async def shop(world_of: Any) -> AsyncIterator[Any]:
    async with world_of(GatewaySettings(metrics=True, read_cache=FRESH, read_cache_bytes=8_192)) as made:
        _put(made, "first")
        yield made


def _put(world: Any, name: str) -> None:
    world.services.answer("GetProduct", product_pb2.Product(id="P-1", name=name))


def _results(world: Any) -> dict[str, float]:
    return {
        line.split('"')[1]: float(line.rsplit(" ", 1)[1])
        for line in generate_latest(world.registry).decode().splitlines()
        if line.startswith("souk_gateway_cache_requests_total{")
    }


class Held:
    """A product that is answered only when a test lets it go, and which notes calls and cancellations."""

    def __init__(self, world: Any) -> None:
        self.began, self.go, self.cancelled = asyncio.Semaphore(0), asyncio.Event(), asyncio.Event()
        world.services.behaviours["GetProduct"] = self._behave

    async def _behave(self, _: object) -> product_pb2.Product:
        self.began.release()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return product_pb2.Product(id="P-1", name="held")


async def _arrived(world: Any, result: str, number: int) -> None:
    async with asyncio.timeout(60):
        while _results(world)[result] < number:
            await asyncio.sleep(0)


async def test_without_the_setting_every_read_is_a_call(world: Any) -> None:
    _put(world, "first")
    for _ in range(3):
        assert "age" not in (await world.send("GET", PRODUCT)).headers
    assert world.services.count("GetProduct") == 3
    assert "souk_gateway_cache" not in generate_latest(world.registry).decode()


async def test_a_fresh_answer_is_given_again_with_its_age_and_then_asked_for_anew(shop: Any) -> None:
    first = await shop.send("GET", PRODUCT)
    assert "age" not in first.headers
    _put(shop, "second")
    shop.clock.advance(3)
    again = await shop.send("GET", PRODUCT)
    assert (again.json["name"], again.headers["age"]) == ("first", "3")
    assert again.headers["cache-control"] == first.headers["cache-control"] == "no-cache"
    assert again.headers["etag"] == first.headers["etag"]
    shop.clock.advance(2)
    assert (await shop.send("GET", PRODUCT)).json["name"] == "second"
    assert shop.services.count("GetProduct") == 2
    assert _results(shop) == {"hit": 1, "miss": 2, "collapsed": 0, "bypass": 0}


async def test_a_stored_answer_is_tagged_compressed_and_given_without_its_body_to_head(shop: Any) -> None:
    _put(shop, "a long name " * 200)
    tag = (await shop.send("GET", PRODUCT)).headers["etag"]
    unchanged = await shop.send("GET", PRODUCT, headers=[("if-none-match", tag)])
    packed = await shop.send("GET", PRODUCT, headers=[("accept-encoding", "gzip")])
    head = await shop.send("HEAD", PRODUCT)
    assert (unchanged.status, packed.headers["content-encoding"], head.body) == (304, "gzip", b"")
    assert shop.services.count("GetProduct") == 1


async def test_path_and_query_are_the_key(shop: Any) -> None:
    for target in (PRODUCT, "/api/v1/products/P-2", "/api/v1/products?pageSize=1", "/api/v1/products?pageSize=2"):
        for _ in range(2):
            await shop.send("GET", target)
    assert (shop.services.count("GetProduct"), shop.services.count("ListProducts")) == (2, 2)


@pytest.mark.parametrize(
    "credentials",
    [("authorization", "Bearer x"), ("x-api-key", "x"), ("cookie", f"a=b; {ACCESS}=x"), ("x-tester", "ann")],
)
async def test_who_sends_credentials_reads_what_was_just_written(shop: Any, credentials: tuple[str, str]) -> None:
    await shop.send("GET", PRODUCT)
    _put(shop, "second")
    own = await shop.send("GET", PRODUCT, headers=[credentials])
    assert own.json["name"] == "second"
    assert (await shop.send("GET", PRODUCT)).json["name"] == "first"  # and nothing of that request is stored
    assert _results(shop)["bypass"] == 1


async def test_the_clients_directives_are_respected(shop: Any) -> None:
    await shop.send("GET", PRODUCT)
    _put(shop, "second")
    shop.clock.advance(2)
    assert (await shop.send("GET", PRODUCT, headers=[("cache-control", "max-age=3")])).json["name"] == "first"
    assert (await shop.send("GET", PRODUCT, headers=[("cache-control", "no-store")])).json["name"] == "second"
    assert (await shop.send("GET", PRODUCT)).json["name"] == "first"
    assert (await shop.send("GET", PRODUCT, headers=[("cache-control", "no-cache")])).json["name"] == "second"
    assert (await shop.send("GET", PRODUCT)).headers["age"] == "0"  # what no-cache fetched is stored
    _put(shop, "third")
    shop.clock.advance(2)
    assert (await shop.send("GET", PRODUCT, headers=[("cache-control", "max-age=2")])).json["name"] == "third"


@pytest.mark.parametrize(
    ("text", "oldest"),
    [
        ("", float("inf")), ("max-age=7", 7), ('max-age="7"', 7), ("No-Cache", 0), ("max-age=0, max-age=9", 0),
        ("max-age=x", 0), ("max-age", 0), ("max-age=9\0no-cache", 0), ("no-cache, no-store", None),
        ("nocache", float("inf")),
    ],
)  # fmt: skip
def test_directives_are_read_as_in_rfc_9111(text: str, oldest: float | None) -> None:
    assert oldest_wanted(text) == oldest


async def test_readers_at_the_same_time_make_one_call(shop: Any) -> None:
    held = Held(shop)
    reads = [asyncio.create_task(shop.send("GET", PRODUCT)) for _ in range(20)]
    await _arrived(shop, "collapsed", 19)
    held.go.set()
    assert {answer.json["name"] for answer in await asyncio.gather(*reads)} == {"held"}
    assert shop.services.count("GetProduct") == 1


async def test_the_first_reader_may_go_and_the_last_takes_the_call_along(shop: Any) -> None:
    held = Held(shop)
    first, second = (asyncio.create_task(shop.send("GET", PRODUCT)) for _ in range(2))
    await _arrived(shop, "collapsed", 1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert not held.cancelled.is_set()
    third = asyncio.create_task(shop.send("GET", PRODUCT))
    await _arrived(shop, "collapsed", 2)
    for last in (second, third):
        last.cancel()
    fourth = asyncio.create_task(shop.send("GET", PRODUCT))  # which does not join a call that is being cancelled
    await asyncio.gather(second, third, return_exceptions=True)
    async with asyncio.timeout(60):
        await held.cancelled.wait()
        await held.began.acquire()
        await held.began.acquire()
    held.go.set()
    assert (await fourth).json["name"] == "held"
    assert shop.services.count("GetProduct") == 2


async def test_a_call_that_began_too_long_ago_is_not_joined(shop: Any) -> None:
    held = Held(shop)
    early = asyncio.create_task(shop.send("GET", PRODUCT))
    await _arrived(shop, "miss", 1)
    await held.began.acquire()
    shop.clock.advance(FRESH)
    _put(shop, "second")
    assert (await shop.send("GET", PRODUCT)).json["name"] == "second"
    held.go.set()
    assert (await early).json["name"] == "held"


async def test_an_older_answer_that_comes_later_replaces_none(shop: Any) -> None:
    held = Held(shop)
    early = asyncio.create_task(shop.send("GET", PRODUCT))
    await held.began.acquire()
    _put(shop, "second")
    assert (await shop.send("GET", PRODUCT, headers=[("cache-control", "no-cache")])).json["name"] == "second"
    held.go.set()
    assert (await early).json["name"] == "held"
    assert (await shop.send("GET", PRODUCT)).json["name"] == "second"


async def test_a_failure_is_shared_but_not_stored(shop: Any) -> None:
    shop.services.refuse("GetProduct", DomainError("PRODUCT_NOT_FOUND", "it does not exist"))
    refused = await asyncio.gather(*(shop.send("GET", PRODUCT) for _ in range(3)))
    assert {answer.status for answer in refused} == {404}
    assert len({answer.json["requestId"] for answer in refused}) == 3
    asked = shop.services.count("GetProduct")
    _put(shop, "first")
    assert (await shop.send("GET", PRODUCT)).status == 200
    assert shop.services.count("GetProduct") == asked + 1
    shop.clock.advance(FRESH)
    shop.services.refuse("GetProduct", RuntimeError("broken"))
    assert (await shop.send("GET", PRODUCT)).status == 500


async def test_what_is_used_least_goes_when_the_bytes_are_used_up(shop: Any) -> None:
    _put(shop, "x" * 1_000)
    for number in range(10):
        await shop.send("GET", f"/api/v1/products/P-{number}")
        await shop.send("GET", "/api/v1/products/P-0")
    assert (await shop.send("GET", "/api/v1/products/P-0")).headers["age"] == "0"
    assert "age" not in (await shop.send("GET", "/api/v1/products/P-1")).headers
    stored = [
        one for one in generate_latest(shop.registry).decode().splitlines() if one.startswith("souk_gateway_cache_b")
    ]
    assert 4_096 < float(stored[0].split()[1]) <= 8_192
    _put(shop, "x" * 9_000)
    for _ in range(2):
        assert "age" not in (await shop.send("GET", "/api/v1/products/huge")).headers


async def test_limits_count_hits_too(shop: Any) -> None:
    policies = from_mapping({"reads": {"count": 3, "window": 60, "burst": 3}})
    shop.remake(RateLimits.of(policies, MemoryQuotas(shop.clock), LimitMode.ENFORCE))
    answers = [await shop.send("GET", PRODUCT) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert shop.services.count("GetProduct") == 1


async def test_an_answer_for_a_caller_is_never_stored(shop: Any) -> None:
    token = shop.token()
    for _ in range(2):
        assert (await shop.send("GET", "/api/v1/orders/O-1", token=token)).status == 200
    assert shop.services.count("GetOrder") == 2
    assert set(_results(shop).values()) == {0}


@pytest.fixture
async def lasting(world_of: Any) -> AsyncIterator[Any]:
    """A gateway that keeps answers for a minute, and products, by their contract, for 5 seconds."""
    async with world_of(GatewaySettings(metrics=True, read_cache=60.0)) as made:
        _put(made, "first")
        yield made


async def test_a_contract_shortens_the_time_for_its_method_alone(lasting: Any) -> None:
    products = "/api/v1/products"
    ages: list[tuple[str | None, str | None]] = []
    for _ in range(3):
        product, listed = [(await lasting.send("GET", path)).headers.get("age") for path in (PRODUCT, products)]
        ages.append((product, listed))
        lasting.clock.advance(4.0)
    assert ages == [(None, None), ("4", "4"), (None, "8")]
    assert (lasting.services.count("GetProduct"), lasting.services.count("ListProducts")) == (2, 1)


async def test_a_call_that_runs_for_longer_than_the_contract_allows_is_joined_by_nobody(lasting: Any) -> None:
    held = Held(lasting)
    first = asyncio.create_task(lasting.send("GET", PRODUCT))
    await held.began.acquire()
    lasting.clock.advance(5.0)
    second = asyncio.create_task(lasting.send("GET", PRODUCT))
    async with asyncio.timeout(60):
        await held.began.acquire()  # a call of its own
    held.go.set()
    assert [(await one).json["name"] for one in (first, second)] == ["held", "held"]


async def test_a_contract_does_not_extend_the_setting(world_of: Any) -> None:
    async with world_of(GatewaySettings(read_cache=1.0)) as world:
        _put(world, "first")
        for _ in range(2):
            assert "age" not in (await world.send("GET", PRODUCT)).headers
            world.clock.advance(2.0)


def test_a_max_age_of_zero_is_never_kept() -> None:
    method = contract_of(product_pb2.DESCRIPTOR.services_by_name["ProductService"]).methods[GET_PRODUCT]
    assert method.policy.max_age == 5.0
    assert cacheable(method)
    assert not cacheable(replace(method, policy=replace(method.policy, max_age=0.0)))
