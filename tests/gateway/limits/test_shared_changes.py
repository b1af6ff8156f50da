"""Limits that a routes file changes, at two gateways that count in one Valkey: both keep to the new limit together."""

import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio import Redis

from souk.gateway.limits.limiter import LimitMode, RateLimits
from souk.gateway.limits.policies_file import from_mapping
from souk.gateway.limits.shared.quotas import SharedQuotas
from souk.gateway.routing.model import RoutesFileRefused
from souk.gateway.routing.reading.document import parse
from souk.gateway.settings import GatewaySettings
from souk.kernel.clock import SystemClock
from souk.testing.valkey import ValkeyServer

pytestmark = pytest.mark.xdist_group("valkey")

PATIENT = 60.0
ROUTES = "routes: {/a: http://a:1}\n"


@pytest.fixture
async def two(valkey_server: ValkeyServer, world_of: Any) -> AsyncIterator[list[Any]]:
    """Two gateways, which let ten reads an hour pass from each address."""
    async with contextlib.AsyncExitStack() as stack:
        redis = await stack.enter_async_context(Redis.from_url(valkey_server.url))
        await redis.flushall()
        worlds = []
        for _ in range(2):
            world = await stack.enter_async_context(world_of(GatewaySettings()))
            quotas = SharedQuotas(redis, SystemClock(), PATIENT)
            stack.push_async_callback(quotas.close)
            base = from_mapping({"reads": {"count": 10, "window": 3600, "by": "address", "classes": ["read"]}})
            world.remake(RateLimits.of((one for one in base if one.name == "reads"), quotas, LimitMode.ENFORCE))
            worlds.append(world)
        yield worlds


def use(world: Any, limits: str = "") -> None:
    world.gateway.use_routes(parse(ROUTES + limits, "f.yaml"), {"http://a:1": SimpleNamespace(vouches=False)})


async def admitted(worlds: list[Any], times: int) -> int:
    """Sends requests in turns; gives how many were admitted by all together."""
    answers = [await worlds[number % len(worlds)].send("GET", "/api/v1/products") for number in range(times)]
    assert {answer.status for answer in answers} <= {200, 429}
    return sum(answer.status == 200 for answer in answers)


async def test_a_changed_limit_holds_for_both_together_and_goes_on_counting(two: list[Any]) -> None:
    assert await admitted(two, 16) == 10
    for world in two:
        use(world, "limits: {reads: {count: 20, window: 2h}}\n")
    assert await admitted(two, 16) == 10, "ten of the twenty were counted before the change"
    for world in two:
        use(world, "limits: {reads: {count: 5, window: 1h}}\n")
    assert await admitted(two, 6) == 0
    for world in two:
        use(world, "limits:\n  reads: {off: true}\n  few: {count: 3, window: 1h, by: address, classes: [read]}\n")
    assert await admitted(two, 8) == 3, "a new limit begins at nothing, and is shared, too"
    for world in two:
        use(world)
    assert await admitted(two, 6) == 0, "without the part, what was counted is still counted"


async def test_while_one_gateway_has_not_yet_read_the_file_each_keeps_to_its_own_limit(two: list[Any]) -> None:
    ahead, behind = two
    use(ahead, "limits: {reads: {count: 20, window: 2h}}\n")
    assert await admitted([behind], 14) == 10
    assert await admitted([behind], 2) == 0
    assert await admitted([ahead], 14) == 10, "what the other one counted is counted here as well"
    with pytest.raises(RoutesFileRefused):
        use(behind, "limits: {reads: {count: 0}}\n")
    assert await admitted([behind], 2) == 0
