"""CORS for contract routes, RPC paths and sessions: what a page of another origin is told, header by header."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from shop.order.v1 import order_pb2
from shop.product.v1 import product_pb2

from souk.gateway.limits.limiter import LimitMode, RateLimits
from souk.gateway.limits.memory import MemoryQuotas
from souk.gateway.limits.policies_file import from_mapping
from souk.gateway.routing.reading.document import parse
from souk.gateway.settings import GatewaySettings

SHOP, OTHER = "https://shop.example.com", "https://shop.example.com.evil.test"
ORDERS, GET_PRODUCT = "/api/v1/orders", "/shop.product.v1.ProductService/GetProduct"
NEEDED = "authorization,content-type,x-grpc-web,grpc-timeout,connect-protocol-version,idempotency-key"


@pytest.fixture
async def shop(world_of: Any) -> AsyncIterator[Any]:
    async with world_of(GatewaySettings(cors_origins=(SHOP, "https://*.example.org"))) as made:
        made.services.answer("GetProduct", product_pb2.Product(id="P-1"))
        made.services.answer("GetOrder", order_pb2.Order(id="O-1"))
        yield made


def _cors(answer: Any) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


async def _preflight(world: Any, target: str, origin: str = SHOP, method: str = "POST") -> Any:
    asked = [("access-control-request-method", method), ("access-control-request-headers", NEEDED)]
    return await world.send("OPTIONS", target, headers=[("origin", origin), *asked])


async def test_without_the_setting_nothing_is_said(world: Any) -> None:
    assert _cors(await _preflight(world, ORDERS)) == {}
    assert _cors(await world.send("GET", "/api/v1/products/P-1", headers=[("origin", SHOP)])) == {}


@pytest.mark.parametrize(
    "target", [ORDERS, "/api/v1/orders/O-1", GET_PRODUCT, "/session", "/oauth/token", "/openapi.json"]
)
async def test_a_preflight_is_answered_before_anybody_is_identified_or_counted(shop: Any, target: str) -> None:
    policies = from_mapping({"reads": {"count": 1, "window": 60}, "writes": {"count": 1, "window": 60}})
    shop.remake(RateLimits.of(policies, MemoryQuotas(shop.clock), LimitMode.ENFORCE))
    for _ in range(3):
        answer = await _preflight(shop, target)
        assert (answer.status, answer.body) == (204, b"")
        assert _cors(answer) == {
            "access-control-allow-origin": SHOP,
            "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
            "access-control-allow-headers": "*, authorization",
            "access-control-expose-headers": "grpc-status, grpc-message, grpc-status-details-bin, *",
            "access-control-max-age": "7200",
        }
        assert "ratelimit" not in answer.headers
    assert shop.services.asked == []


async def test_an_answer_may_be_read_and_so_may_a_refusal(shop: Any) -> None:
    origin = [("origin", SHOP)]
    for answer, status in (
        (await shop.send("GET", "/api/v1/products/P-1", headers=origin), 200),
        (await shop.send("GET", "/api/v1/orders/O-1", headers=origin, token=shop.token()), 200),
        (await shop.send("GET", "/api/v1/orders/O-1", headers=origin), 401),
        (await shop.send("GET", "/nowhere", headers=origin), 404),
        (await shop.send("PUT", ORDERS, headers=origin), 405),
        (await shop.send("POST", "/session", {}, headers=[*origin, ("sec-fetch-site", "cross-site")]), 403),
    ):
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert (b"vary", b"origin") in answer.raw_headers
        assert "access-control-allow-credentials" not in answer.headers


async def test_a_failure_of_ours_may_be_read_too(shop: Any) -> None:
    shop.services.refuse("GetProduct", RuntimeError("broken"))
    answer = await shop.send("GET", "/api/v1/products/P-1", headers=[("origin", SHOP)])
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (500, SHOP)


@pytest.mark.parametrize("kind", ["application/grpc-web+proto", "application/proto"])
async def test_a_client_of_grpc_web_or_connect_may_read_status_and_message(shop: Any, kind: str) -> None:
    body = product_pb2.GetProductRequest(id="P-1").SerializeToString()
    framed = b"\0" + len(body).to_bytes(4, "big") + body if "web" in kind else body
    answer = await shop.send("POST", GET_PRODUCT, framed, headers=[("origin", SHOP), ("content-type", kind)])
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, SHOP)
    assert answer.headers["access-control-expose-headers"].startswith("grpc-status, grpc-message")


@pytest.mark.parametrize("origin", [OTHER, "null", "http://shop.example.com", "https://example.org", ""])
async def test_other_origins_are_told_nothing(shop: Any, origin: str) -> None:
    answer = await shop.send("GET", "/api/v1/products/P-1", headers=[("origin", origin)] if origin else [])
    assert (answer.status, _cors(answer)) == (200, {})
    assert (b"vary", b"origin") in answer.raw_headers
    refused = await _preflight(shop, ORDERS, origin)
    assert (refused.status, _cors(refused)) == (403 if origin else 204, {})


async def test_a_pattern_of_origins_and_any_origin(shop: Any, world_of: Any) -> None:
    origin = "https://a.example.org"
    assert _cors(await _preflight(shop, ORDERS, origin))["access-control-allow-origin"] == origin
    async with world_of(GatewaySettings(cors_origins=("*",))) as everybody:
        answer = await everybody.send("GET", "/api/v1/products", headers=[("origin", OTHER)])
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


async def test_a_rule_of_the_routes_file_has_its_own_filter(shop: Any) -> None:
    shop.gateway.use_routes(parse("routes: [{name: a, rules: [{matches: [{path: /other}]}]}]"), {})
    answer = await shop.send("GET", "/other", headers=[("origin", SHOP)])
    assert (answer.status, _cors(answer)) == (500, {})
    assert _cors(await _preflight(shop, ORDERS))["access-control-allow-origin"] == SHOP
