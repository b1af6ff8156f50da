"""No request makes the gateway fail."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.properties import examples

RELAXED = settings(
    max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
METHODS = st.sampled_from(["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "X"])
PATHS = st.sampled_from(
    [b"/api/v1/orders", b"/api/v1/orders/1", b"/api/v1/users/me", b"/api/v1/products", b"/api/v1/products:search",
     b"/api/v1/stock/P:adjust", b"/api/v1/wallet:topUp", b"/api/v1/auth/token", b"/healthz"]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ORDERS = st.fixed_dictionaries(
    {"items": JSON | st.lists(st.fixed_dictionaries({"productId": JSON, "quantity": JSON, "price": JSON})),
     "shippingAddressId": JSON, "paymentMethod": JSON, "idempotencyKey": JSON}
)  # fmt: skip
BODIES = st.binary(max_size=50) | (JSON | ORDERS).map(lambda value: json.dumps(value).encode())
HEADER_NAMES = st.sampled_from(
    ["content-type", "content-encoding", "idempotency-key", "traceparent", "x-request-id", "authorization", "expect",
     "content-length", "souk-caller", "accept"]
)  # fmt: skip
HEADERS = st.lists(st.tuples(HEADER_NAMES, st.text(st.characters(max_codepoint=255), max_size=20)), max_size=4)


def check(response: Any) -> None:
    assert 200 <= response.status < 500, response.body
    assert response.headers["x-request-id"]
    assert response.headers["traceparent"]
    if response.status >= 400 and response.body:
        assert response.json["code"]


@given(METHODS, st.binary(max_size=40).map(lambda tail: b"/" + tail), BODIES)
@RELAXED
async def test_any_path(world: Any, method: str, path: bytes, body: bytes) -> None:
    check(await world.send(method, path, body))


@given(METHODS, PATHS, st.binary(max_size=30), BODIES, HEADERS)
@RELAXED
async def test_any_query_body_and_header(
    world: Any, method: str, path: bytes, query: bytes, body: bytes, headers: list[tuple[str, str]]
) -> None:
    check(await world.send(method, path + b"?" + query, body, token=world.token(), headers=headers))


@given(BODIES)
@RELAXED
async def test_any_body_of_an_order(world: Any, body: bytes) -> None:
    check(await world.send("POST", "/api/v1/orders", body, token=world.token()))


@given(
    st.text(st.characters(max_codepoint=255), max_size=60)
    | st.binary(max_size=40).map(lambda b: f"Bearer {b.hex()}.{b.hex()}.")
)
@RELAXED
async def test_any_authorization(world: Any, value: str) -> None:
    response = await world.send("GET", "/api/v1/users/me", headers=[("authorization", value)])
    assert response.status == 401
