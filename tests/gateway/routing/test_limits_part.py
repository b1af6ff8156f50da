"""The part `limits` of a routes file: what it changes, and how a wrong one is refused."""

# ruff: noqa: E501

from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import generate_latest

from souk.gateway.limits.limiter import LimitMode, RateLimits
from souk.gateway.limits.memory import MemoryQuotas
from souk.gateway.limits.policies_file import from_mapping
from souk.gateway.routing.model import RoutesFileRefused
from souk.gateway.routing.reading.document import parse

ROUTES = "routes: {/a: http://a:1}\n"
READ = "/api/v1/products"


@pytest.fixture
def limits(world: Any) -> RateLimits:
    base = from_mapping(
        {"reads": {"count": 3, "window": 60}, "extra": {"count": 9, "window": 60, "by": "address", "classes": ["read"]}}
    )
    made = RateLimits.of(base, MemoryQuotas(world.clock), LimitMode.ENFORCE)
    world.remake(made)
    return made


def use(world: Any, limits: str = "") -> None:
    world.gateway.use_routes(parse(ROUTES + limits, "f.yaml"), {"http://a:1": SimpleNamespace(vouches=False)})


async def statuses(world: Any, number: int) -> list[int]:
    return [(await world.send("GET", READ)).status for _ in range(number)]


async def test_a_file_changes_adds_and_removes_limits_and_the_next_one_too(world: Any, limits: RateLimits) -> None:
    use(world, "limits: {reads: {count: 5, window: 1m}}\n")
    assert await statuses(world, 6) == [200] * 5 + [429]
    use(world, "limits: {reads: {count: 7, window: 60}}\n")
    assert await statuses(world, 1) == [429], "what was counted stays counted"
    world.clock.advance(9)
    assert await statuses(world, 2) == [200, 429], "and ends at the new rate: one in 8.6 s"
    use(world, "limits:\n  reads: {off: true}\n  extra: {off: true}\n")
    assert await statuses(world, 20) == [200] * 20
    use(world)  # without the part, what the gateway began with holds
    assert set(limits.policies) == {policy.name for policy in limits.base}
    world.clock.advance(120)
    assert await statuses(world, 4) == [200] * 3 + [429]


async def test_a_new_limit_counts_what_it_names(world: Any, limits: RateLimits) -> None:
    use(
        world,
        "limits:\n  burst-of-reads: {count: 2, window: 1h, burst: 1, by: address, classes: [read], whenAway: open, ipv6Prefix: 56}\n",
    )
    answer = await world.send("GET", READ)
    assert '"burst-of-reads";q=2;w=3600' in answer.headers["ratelimit-policy"]
    refused = await world.send("GET", READ)
    assert (refused.status, refused.json["violated-policies"]) == (429, ["burst-of-reads"])
    shown = generate_latest(world.registry).decode()
    assert 'souk_gateway_rate_limited_total{outcome="refused",policy="burst-of-reads"} 1.0' in shown


async def test_a_change_holds_for_rules_of_the_file_and_for_rpc_clients(world: Any, limits: RateLimits) -> None:
    use(world, "limits: {reads: {count: 1, window: 60}}\n")
    assert await statuses(world, 1) == [200]
    called = await world.send("POST", "/shop.product.v1.ProductService/GetProduct", {"id": "P-1"})
    assert called.status == 429


async def test_the_openapi_document_shows_the_limits_in_force(world: Any, limits: RateLimits) -> None:
    assert b"7654321" not in (await world.send("GET", "/openapi.json")).body
    use(world, "limits: {reads: {count: 7654321, window: 1h}}\n")
    assert b"7654321" in (await world.send("GET", "/openapi.json")).body


@pytest.mark.parametrize(
    ("part", "finding"),
    [
        ("limits: [reads]", "f.yaml:2:9: limits must be a mapping"),
        ("limits:\n  reads: 5", "f.yaml:3:10: a limit must be a mapping"),
        ("limits:\n  reads: {counts: 5}", "f.yaml:3:11: a limit has no field 'counts'; did you mean 'count'?"),
        ("limits:\n  reads: {count: 0}", "f.yaml:3:18: count must be a whole number from 1"),
        ("limits:\n  reads: {window: soon}", "f.yaml:3:19: window must be a duration"),
        ("limits:\n  reads: {by: moon}", "f.yaml:3:15: by must be one of caller"),
        ("limits:\n  reads: {classes: [reed]}", "f.yaml:3:21: a class must be one of"),
        ("limits:\n  reads: {off: maybe}", "f.yaml:3:16: off must be one of true, false"),
        ("limits:\n  other: {count: 5}", "f.yaml:3:3: limits: other is a new policy, and lacks window, by, classes"),
        ("limits:\n  Reads: {count: 5}", "f.yaml:3:3: limits: 'Reads': the name of a policy"),
        ("limits:\n  reads: {off: true, count: 5}", "f.yaml:3:3: limits: reads: a policy that is off"),
        ("limits:\n  reads: {count: 5}\n  reads: {count: 6}", "f.yaml:4:3: 'reads' is given twice"),
        ("limits:\n  reads: {classes: []}", "f.yaml:3:3: limits: reads.classes must be a list"),
        ("limits:\n  reads: {window: 0s}", "f.yaml:3:3: limits: reads.window must be seconds above 0"),
    ],
)
async def test_a_wrong_part_is_refused_with_its_line_and_changes_nothing(
    world: Any, limits: RateLimits, part: str, finding: str
) -> None:
    before = dict(limits.policies)
    with pytest.raises(RoutesFileRefused) as refused:
        use(world, part + "\n")
    assert str(refused.value).startswith(finding)
    assert limits.policies == before
    assert await statuses(world, 4) == [200] * 3 + [429]


async def test_a_file_that_is_refused_for_its_routes_changes_no_limit(world: Any, limits: RateLimits) -> None:
    with pytest.raises(RoutesFileRefused):
        use(
            world,
            "limits: {reads: {count: 1, window: 60}}\n---\nroutes: [{rules: [{matches: [{path: {type: Exact, value: /healthz}}]}]}]\n",
        )
    assert await statuses(world, 4) == [200] * 3 + [429]
