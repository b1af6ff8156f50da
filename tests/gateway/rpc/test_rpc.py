"""Calls of Connect, gRPC-Web and gRPC clients at the gateway: who may, what is passed on, and what bad input gets."""

import gzip
import json
from base64 import b64decode, b64encode
from struct import pack, unpack_from
from typing import Any

import pytest
from google.rpc import status_pb2
from shop.order.v1 import order_pb2
from shop.product.v1 import product_pb2
from shop.user.v1 import user_pb2

from souk.gateway.limits.gcra import Rate
from souk.gateway.limits.limiter import LimitMode, RateLimits
from souk.gateway.limits.memory import MemoryQuotas
from souk.gateway.limits.policy import CountedBy, LimitPolicy
from souk.gateway.rpc.metadata import passed_on
from souk.kernel.errors import DomainError

GET_ORDER = "/shop.order.v1.OrderService/GetOrder"
PLACE_ORDER = "/shop.order.v1.OrderService/PlaceOrder"
GET_PRODUCT = "/shop.product.v1.ProductService/GetProduct"
ORDER = order_pb2.GetOrderRequest(id="O-1")
WEB = ("content-type", "application/grpc-web+proto")
PROTO = ("content-type", "application/proto")


def framed(message: bytes, flags: int = 0) -> bytes:
    return pack(">BI", flags, len(message)) + message


def frames(body: bytes) -> list[tuple[int, bytes]]:
    found = []
    while body:
        flags, length = unpack_from(">BI", body)
        found.append((flags, body[5 : 5 + length]))
        body = body[5 + length :]
    return found


def trailers(answer: Any) -> dict[str, str]:
    flags, lines = frames(answer.body)[-1]
    assert flags == 0x80
    return dict(line.split(": ", 1) for line in lines.decode().splitlines())


@pytest.fixture(autouse=True)
def answers(world: Any) -> None:
    world.services.answer("GetOrder", order_pb2.Order(id="O-1", total=2_400))


async def test_connect_speaks_protobufs_own_json(world: Any) -> None:
    answer = await world.send("POST", GET_ORDER, {"id": "O-1"}, token=world.token())
    assert answer.status == 200
    assert answer.json["id"] == "O-1"
    assert answer.json["total"] == "2400", "64 bits are a string"
    name, request, context = world.services.last
    assert (name, request) == ("GetOrder", ORDER)
    assert (context.caller.subject, context.caller.address) == ("U-demo", "192.0.2.1")


async def test_connect_speaks_protobuf(world: Any) -> None:
    sent = gzip.compress(ORDER.SerializeToString())
    headers = [PROTO, ("content-encoding", "gzip")]
    answer = await world.send("POST", GET_ORDER, sent, token=world.token(), headers=headers)
    assert order_pb2.Order.FromString(answer.body).id == "O-1"


async def test_grpc_web_ends_with_its_trailers(world: Any) -> None:
    body = framed(ORDER.SerializeToString())
    answer = await world.send("POST", GET_ORDER, body, token=world.token(), headers=[WEB])
    assert [flags for flags, _ in frames(answer.body)] == [0, 0x80]
    assert order_pb2.Order.FromString(frames(answer.body)[0][1]).id == "O-1"
    assert trailers(answer) == {"grpc-status": "0"}


async def test_grpc_web_in_text_may_be_padded_anywhere(world: Any) -> None:
    body = framed(ORDER.SerializeToString())
    text = b64encode(body[:4]) + b64encode(body[4:])
    kind = ("content-type", "application/grpc-web-text")
    answer = await world.send("POST", GET_ORDER, [text[:3], text[3:]], token=world.token(), headers=[kind])
    parts = b"".join(b64decode(part + b"=" * (-len(part) % 4)) for part in answer.body.replace(b"=", b" ").split())
    assert [flags for flags, _ in frames(parts)] == [0, 0x80]


@pytest.mark.parametrize("token", ["", "forged"])
async def test_without_a_valid_token_nobody_calls(world: Any, token: str) -> None:
    answer = await world.send("POST", GET_ORDER, {"id": "O-1"}, token=token)
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    web = await world.send("POST", GET_ORDER, framed(ORDER.SerializeToString()), token=token, headers=[WEB])
    assert (web.status, trailers(web)["grpc-status"]) == (200, "16")
    assert world.services.count("GetOrder") == 0


async def test_limits_hold_for_the_method_whichever_way_one_comes(world: Any) -> None:
    every = frozenset(
        type(one.policy.rate_class)(one.policy.rate_class) for one in world.gateway.backend._methods.values()
    )
    policy = LimitPolicy("few", Rate(1, 60.0, 1), CountedBy.CALLER, every)
    world.remake(RateLimits.of([policy], MemoryQuotas(world.clock), LimitMode.ENFORCE))
    assert (await world.send("GET", "/api/v1/orders/O-1", token=world.token())).status == 200
    connect = await world.send("POST", GET_ORDER, {"id": "O-1"}, token=world.token())
    assert (connect.status, connect.json["code"]) == (429, "resource_exhausted")
    web = await world.send("POST", GET_ORDER, framed(ORDER.SerializeToString()), token=world.token(), headers=[WEB])
    assert trailers(web)["grpc-status"] == "8"
    raw = trailers(web)["grpc-status-details-bin"]
    details = status_pb2.Status.FromString(b64decode(raw + "=" * (-len(raw) % 4))).details
    assert [each.TypeName() for each in details] == ["google.rpc.ErrorInfo", "google.rpc.RetryInfo"]


async def test_internal_methods_are_not_there(world: Any) -> None:
    answer = await world.send("POST", "/shop.user.v1.UserService/GetRoles", {"userId": "U-1"}, token=world.token())
    assert answer.status == 404


async def test_a_promised_reason_passes_and_another_failure_stays_inside(world: Any) -> None:
    world.services.refuse("GetOrder", DomainError("ORDER_NOT_FOUND", "there is no order O-1"))
    answer = await world.send("POST", GET_ORDER, {"id": "O-1"}, token=world.token())
    assert (answer.status, answer.json["code"], answer.json["message"]) == (404, "not_found", "there is no order O-1")
    world.services.refuse("GetOrder", RuntimeError("the password is hunter2"))
    answer = await world.send("POST", GET_ORDER, {"id": "O-1"}, token=world.token())
    assert (answer.status, answer.json["code"]) == (500, "internal")
    assert b"hunter2" not in answer.body


async def test_a_key_is_the_header_or_the_field_and_both_agree(world: Any) -> None:
    body = {"idempotencyKey": "one-key-of-the-client"}
    key = ("idempotency-key", "another-key-of-the-client")
    answer = await world.send("POST", PLACE_ORDER, body, token=world.token(), headers=[key])
    assert (answer.status, answer.json["code"]) == (400, "invalid_argument")
    order = {
        "items": [{"productId": "P-101", "quantity": 2, "price": "1200"}],
        "shippingAddressId": "ADDR-55",
        "paymentMethod": "card",
    }
    assert (await world.send("POST", PLACE_ORDER, order, token=world.token(), headers=[key])).status == 200
    name, request, _ = world.services.last
    assert (name, request.idempotency_key) == ("PlaceOrder", key[1])


def test_what_proves_the_client_and_what_is_of_the_way_stays_at_the_gateway() -> None:
    headers = [
        (b"authorization", b"Bearer x"),
        (b"cookie", b"a=b"),
        (b"x-api-key", b"souk_x"),
        (b"souk-caller", b"forged"),
        (b"x-forwarded-for", b"192.0.2.9"),
        (b"grpc-timeout", b"1S"),
        (b"traceparent", b"00-1-2-3"),
        (b"host", b"souk.test"),
        (b"x-thing", b"kept"),
        (b"x-octets-bin", b"AAE"),
    ]
    assert passed_on(headers) == (("x-thing", "kept"), ("x-octets-bin", b"\0\1"))


async def test_only_methods_that_read_are_called_by_get(world: Any) -> None:
    world.services.answer("GetProduct", product_pb2.Product(id="P-1"))
    query = "?connect=v1&encoding=json&message=%7B%22id%22%3A%22P-1%22%7D"
    answer = await world.send("GET", GET_PRODUCT + query)
    assert (answer.status, answer.json["id"]) == (200, "P-1")
    assert (await world.send("GET", PLACE_ORDER + query, token=world.token())).status == 405


BOMB = gzip.compress(b"\0" * 50_000_000, compresslevel=1, mtime=0)  # each worker makes it
BAD = [
    ("application/json", b"{", 400, "invalid_argument"),
    ("application/json", b'{"id": "O-1", "unknown": 1}', 400, "invalid_argument"),
    ("application/json", b'{"id": NaN}', 400, "invalid_argument"),
    ("application/json", b"[" * 100_000, 400, "invalid_argument"),
    ("application/json", b"\xff", 400, "invalid_argument"),
    ("application/proto", b"\xff", 400, "invalid_argument"),
    ("application/proto; gzip", BOMB, 429, "resource_exhausted"),
    ("application/proto; gzip", b"no gzip", 400, "invalid_argument"),
    ("application/proto; gzip", gzip.compress(b"", mtime=0) + b"more", 400, "invalid_argument"),
    ("application/proto; snappy", b"", 501, "unimplemented"),
]


@pytest.mark.parametrize(("kind", "body", "status", "code"), BAD)
async def test_bad_input_of_connect(world: Any, kind: str, body: bytes, status: int, code: str) -> None:
    name, _, encoding = kind.partition("; ")
    headers = [("content-type", name), *([("content-encoding", encoding)] if encoding else [])]
    answer = await world.send("POST", GET_ORDER, body, token=world.token(), headers=headers)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert world.services.count("GetOrder") == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (framed(b"", 0x40), "13"),
        (framed(b"", 1), "13"),
        (framed(ORDER.SerializeToString())[:-1], "3"),
        (b"\0\0", "3"),
        (b"", "12"),
        (framed(ORDER.SerializeToString()) * 2, "12"),
        (pack(">BI", 0, 2**32 - 1), "8"),
        (framed(b"\xff"), "3"),
    ],
)
async def test_bad_input_of_grpc_web(world: Any, body: bytes, status: str) -> None:
    answer = await world.send("POST", GET_ORDER, body, token=world.token(), headers=[WEB])
    assert (answer.status, trailers(answer)["grpc-status"]) == (200, status)
    assert world.services.count("GetOrder") == 0


@pytest.mark.parametrize("timeout", ["-1", "1x", "123456789S", "S", "٣S"])
async def test_a_wrong_time_out_is_refused(world: Any, timeout: str) -> None:
    headers = [WEB, ("grpc-timeout", timeout.encode().decode("latin-1"))]
    answer = await world.send("POST", GET_ORDER, framed(b""), token=world.token(), headers=headers)
    assert trailers(answer)["grpc-status"] == "3"


async def test_what_is_not_a_protocol_is_told_the_protocols(world: Any) -> None:
    answer = await world.send("POST", GET_ORDER, b"x", token=world.token(), headers=[("content-type", "text/plain")])
    assert answer.status == 415
    assert "application/proto" in answer.headers["accept-post"]
    kind = ("content-type", "application/grpc")
    answer = await world.send("POST", GET_ORDER, framed(b""), token=world.token(), headers=[kind])
    assert (answer.status, json.loads(answer.body)["code"]) == (505, "HTTP_VERSION_NOT_SUPPORTED")


@pytest.mark.parametrize(
    "headers",
    [[PROTO], [WEB], [("content-type", "application/grpc-web-text")]],
    ids=["Connect", "gRPC-Web", "gRPC-Web text"],
)
async def test_what_a_service_refuses_is_in_the_audit(world: Any, headers: Any) -> None:
    world.services.refuse("CreateToken", DomainError("BAD_CREDENTIALS", "email or password is wrong"))
    message = user_pb2.CreateTokenRequest(email="mina@souk.test", password="guess").SerializeToString()
    body = message if headers == [PROTO] else framed(message)
    if headers[0][1].endswith("text"):
        body = b64encode(body)
    await world.send("POST", "/shop.user.v1.UserService/CreateToken", body, headers=headers)
    counted = {"code": "BAD_CREDENTIALS", "why": ""}
    assert world.registry.get_sample_value("souk_gateway_refusals_total", counted) == 1
