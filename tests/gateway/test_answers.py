"""What a service's reply or refusal is to the client."""

import asyncio
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import DebugInfo
from shop.order.v1 import order_pb2
from shop.user.v1 import user_pb2

from souk.kernel.errors import DomainError, InvalidArgument, Violation
from souk.rpc.call import CallFailed, not_sent

ORDER: dict[str, Any] = {
    "items": [{"productId": "P-101", "quantity": 2, "price": 1200}],
    "shippingAddressId": "ADDR-55",
    "paymentMethod": "card",
    "idempotencyKey": "key-1",
}


async def place(world: Any) -> Any:
    return await world.send("POST", "/api/v1/orders", ORDER, token=world.token())


@pytest.mark.parametrize(
    ("state", "status"), [("CONFIRMED", 201), ("PENDING", 202), ("REJECTED", 201), ("UNSPECIFIED", 201)]
)
async def test_the_status_follows_the_state(world: Any, state: str, status: int) -> None:
    number = order_pb2.OrderStatus.Value(f"ORDER_STATUS_{state}")
    world.services.answer("PlaceOrder", order_pb2.Order(id="O 1/é", status=number))
    response = await place(world)
    assert (response.status, response.json["status"]) == (status, state)
    assert response.headers["location"] == "/api/v1/orders/O%201%2F%C3%A9"
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_a_replay_is_recognisable(world: Any) -> None:
    assert "idempotent-replayed" not in (await place(world)).headers
    world.services.replayed = True
    assert (await place(world)).headers["idempotent-replayed"] == "true"


async def test_nothing_is_204(world: Any) -> None:
    response = await world.send("DELETE", "/api/v1/addresses/A-1", token=world.token())
    assert (response.status, response.body) == (204, b"")
    assert not {"content-type", "content-length"} & set(response.headers)


async def test_what_must_not_be_stored_says_so(world: Any) -> None:
    response = await world.send("POST", "/api/v1/auth/token", {"refreshToken": "x"})
    assert (response.status, response.headers["cache-control"]) == (200, "no-store")


async def test_a_reason_is_answered_as_the_contract_says(world: Any) -> None:
    shortage = order_pb2.StockShortage(items=[order_pb2.AvailableStock(product_id="P-101", available=0)])
    world.services.refuse("PlaceOrder", DomainError("OUT_OF_STOCK", "P-101 is out of stock", shortage))
    response = await place(world)
    document = response.json
    assert (response.status, document["code"], document["title"]) == (409, "OUT_OF_STOCK", "Out of stock")
    assert document["detail"] == "P-101 is out of stock"
    assert document["items"] == [{"productId": "P-101", "available": 0}]
    assert response.headers["cache-control"] == "no-store"
    assert "retry-after" not in response.headers


async def test_details_do_not_overwrite_the_problem(world: Any) -> None:
    detail = user_pb2.Contact(email="a", name="b")
    order = order_pb2.Order(id="O-1", status=order_pb2.ORDER_STATUS_REJECTED)
    world.services.refuse(
        "PlaceOrder", DomainError("PAYMENT_DECLINED", "declined", detail, order, DebugInfo(detail="x"))
    )
    document = (await place(world)).json
    assert (document["status"], document["email"], document["id"]) == (402, "a", "O-1")
    assert "stackEntries" not in document


async def test_violations_of_a_service_get_json_names(world: Any) -> None:
    world.services.refuse("PlaceOrder", InvalidArgument([Violation("items[0].product_id", "is unknown")]))
    response = await place(world)
    assert (response.status, response.json["code"]) == (400, "INVALID_REQUEST")
    assert response.json["errors"] == [{"field": "items[0].productId", "detail": "is unknown"}]


@pytest.mark.parametrize(("given", "sent"), [(None, "1"), (2.2, "3"), (0.0, "1")])
async def test_503_and_429_say_when_to_retry(world: Any, given: float | None, sent: str) -> None:
    world.services.refuse("PlaceOrder", DomainError("PAYMENT_UNAVAILABLE", "away", retry_after=given))
    response = await place(world)
    assert (response.status, response.headers["retry-after"]) == (503, sent)
    world.services.refuse("CreateToken", DomainError("TOO_MANY_ATTEMPTS", "later", retry_after=given))
    response = await world.send("POST", "/api/v1/auth/token", {"refreshToken": "x"})
    assert (response.status, response.headers["retry-after"]) == (429, sent)


async def test_a_refusal_with_401_has_a_challenge(world: Any) -> None:
    world.services.refuse("CreateToken", DomainError("BAD_CREDENTIALS", "wrong"))
    response = await world.send("POST", "/api/v1/auth/token", {"refreshToken": "x"})
    assert (response.status, response.json["code"]) == (401, "BAD_CREDENTIALS")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("secret /etc/passwd SELECT *"),
        DomainError("NOT_CANCELLABLE", "a secret reason that the method does not list"),
        DomainError("NO_SUCH_REASON", "secret"),
        KeyError("secret"),
    ],
)
async def test_nothing_internal_leaks(world: Any, error: Exception) -> None:
    world.services.refuse("PlaceOrder", error)
    response = await place(world)
    assert (response.status, response.json["code"]) == (500, "INTERNAL")
    assert b"secret" not in response.body
    assert set(response.json) == {"type", "title", "status", "detail", "code", "requestId"}


async def test_a_reply_that_json_cannot_hold_is_500(world: Any) -> None:
    world.services.answer("PlaceOrder", order_pb2.Order(total=2**60))
    response = await place(world)
    assert (response.status, response.json["code"]) == (500, "INTERNAL")


async def test_a_late_answer_is_504(world: Any) -> None:
    async def never(_: object) -> Any:
        world.clock.advance(60)
        await asyncio.sleep(0)
        raise CallFailed(grpc.StatusCode.DEADLINE_EXCEEDED)

    world.services.behaviours["GetProduct"] = never
    channel = world.gateway.backend
    channel._stubs["/shop.product.v1.ProductService/GetProduct"] = lambda *_, **__: never(None)
    response = await world.send("GET", "/api/v1/products/P-1")
    assert (response.status, response.json["code"]) == (504, "DEADLINE_EXCEEDED")


@pytest.mark.parametrize(
    "error",
    [
        not_sent("breaker open at 10.0.0.7"),
        CallFailed(grpc.StatusCode.UNAVAILABLE, details="10.0.0.7"),
        CallFailed(grpc.StatusCode.INTERNAL, details="10.0.0.7 answered what cannot be read"),
    ],
)
async def test_a_service_that_is_away_is_named(world: Any, error: CallFailed) -> None:
    async def away(*_: object, **__: object) -> Any:
        raise error

    world.gateway.backend._stubs["/shop.product.v1.ProductService/GetProduct"] = away
    response = await world.send("GET", "/api/v1/products/P-1")
    assert (response.status, response.json["code"]) == (503, "PRODUCT_UNAVAILABLE")
    assert response.headers["retry-after"] == "1"
    assert b"10.0.0.7" not in response.body


async def test_a_channel_is_asked_for_once_a_method(world: Any) -> None:
    for _ in range(3):
        await world.send("GET", "/api/v1/products/P-1")
    assert world.calls_of == ["product"]
