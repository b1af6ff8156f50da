"""What a request may look like, and what it becomes."""

import json
from typing import Any

import pytest
from shop.order.v1 import order_pb2

from souk.gateway.settings import GatewaySettings

ORDER: dict[str, Any] = {
    "items": [{"productId": "P-101", "quantity": 2, "price": 1200}],
    "shippingAddressId": "ADDR-55",
    "paymentMethod": "card",
    "idempotencyKey": "key-1",
}
ORDERS = "/api/v1/orders"
LIMIT = GatewaySettings().max_body


def problem(response: Any, status: int, code: str) -> Any:
    assert response.status == status, response.body
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json
    assert document["code"] == code
    assert document["status"] == status
    assert document["type"] == f"/docs#{code}"
    assert document["requestId"] == response.headers["x-request-id"]
    assert document["title"]
    assert document["detail"]
    return document


def fields(response: Any) -> dict[str, str]:
    return {e["field"]: e["detail"] for e in problem(response, 400, "INVALID_REQUEST")["errors"]}


async def test_path_query_and_body_become_the_request(world: Any) -> None:
    token = world.token()
    await world.send("POST", ORDERS, ORDER, token=token)
    name, request, context = world.services.last
    assert (name, request.items[0].price, request.idempotency_key) == ("PlaceOrder", 1200, "key-1")
    assert (context.caller.subject, context.caller.service) == ("U-demo", "gateway")
    await world.send("GET", "/api/v1/orders/a%2Fb%20c/events?pageSize=3&pageToken=%C3%A9+x", token=token)
    assert world.services.last[1] == order_pb2.ListOrderEventsRequest(id="a/b c", page_size=3, page_token="é x")


async def test_a_deadline_and_a_trace_travel_along(world: Any) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    began = world.clock.monotonic()
    response = await world.send("POST", ORDERS, ORDER, token=world.token(), headers=[("traceparent", trace)])
    context = world.services.last[2]
    assert began <= context.deadline - 10 <= world.clock.monotonic()
    assert context.traceparent.split("-")[1] == trace.split("-")[1]
    assert response.headers["traceparent"].split("-")[1] == trace.split("-")[1]


async def test_reserved_metadata_from_outside_goes_nowhere(world: Any) -> None:
    forged = [("souk-caller", "forged"), ("souk-anything", "x"), ("x-user-id", "U-admin")]
    await world.send("GET", "/api/v1/products/P-1", headers=forged)
    assert world.services.last[2].caller.subject == ""


@pytest.mark.parametrize(
    ("given", "met"),
    [("ann-1", "ann-1"), ("x" * 40, "x" * 40)] + [(bad, None) for bad in ("", "x" * 41, "a,payment=v2", "a b", "ä")],
)
async def test_the_mark_of_a_tester_travels_along(world: Any, given: str, met: str | None) -> None:
    await world.send("GET", "/api/v1/products/P-1", headers=[("X-Tester", given)])
    assert world.services.last[2].releases.get("x-tester") == met
    await world.send("POST", ORDERS, ORDER, token=world.token(), headers=[("X-Tester", given)])
    assert world.services.last[2].releases == ({} if met is None else {"x-tester": met})


async def test_two_marks_of_a_tester_are_none(world: Any) -> None:
    await world.send("GET", "/api/v1/products/P-1", headers=[("x-tester", "ann"), ("x-tester", "bob")])
    assert world.services.last[2].releases == {}


@pytest.mark.parametrize("given", ["abc-DEF_1.2", "x" * 128])
async def test_a_sane_request_id_is_kept(world: Any, given: str) -> None:
    response = await world.send("GET", "/healthz", headers=[("X-Request-Id", given)])
    assert response.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", 'a"b', "ä", "a\0b"])
async def test_another_request_id_is_replaced(world: Any, given: str) -> None:
    response = await world.send("GET", "/nowhere", headers=[("X-Request-Id", given)])
    assert response.headers["x-request-id"] != given
    assert response.headers["traceparent"].startswith("00-")


@pytest.mark.parametrize(
    "given", ["nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "ff-" + "1" * 32 + "-" + "1" * 16 + "-01"]
)
async def test_a_trace_that_is_not_valid_is_replaced(world: Any, given: str) -> None:
    response = await world.send("GET", "/healthz", headers=[("traceparent", given)])
    assert given[3:35] not in response.headers["traceparent"]


@pytest.mark.parametrize("token", ["", "nonsense"])
@pytest.mark.parametrize(
    "path", ["//", "/api", "/api/v1/nothing", "/api/v1/orders/", "/api/v1/orders/x:fly", "/HEALTHZ"]
)
async def test_an_unknown_route_is_404_before_401(world: Any, path: str, token: str) -> None:
    problem(await world.send("GET", path, token=token), 404, "ROUTE_NOT_FOUND")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "TRACE", "get", "X"])
async def test_another_method_is_405_with_allow(world: Any, method: str) -> None:
    response = await world.send(method, ORDERS)
    problem(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "GET, HEAD, OPTIONS, POST"


async def test_options_lists_and_head_is_get_without_body(world: Any) -> None:
    options = await world.send("OPTIONS", ORDERS)
    assert (options.status, options.headers["allow"], options.body) == (204, "GET, HEAD, OPTIONS, POST", b"")
    get, head = await world.send("GET", "/api/v1/products"), await world.send("HEAD", "/api/v1/products")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"] != "0"


@pytest.mark.parametrize(
    ("query", "field", "detail"),
    [
        ("page_size=1", "page_size", "is not a query parameter; did you mean pageSize?"),
        ("nope=1", "nope", "is not a query parameter"),
        ("pageSize=", "pageSize", "must be an integer"),
        ("pageSize=1.0", "pageSize", "must be an integer"),
        ("pageSize=%2B1", "pageSize", "must be an integer"),
        ("pageSize=1_0", "pageSize", "must be an integer"),
        ("pageSize=%D9%A1", "pageSize", "must be an integer"),
        ("pageSize=01", "pageSize", "must be an integer"),
        ("pageSize=3000000000", "pageSize", "must be from -2147483648 to 2147483647"),
        ("minPrice=9007199254740992", "minPrice", "must be from -9007199254740991 to 9007199254740991"),
        ("pageSize=1&pageSize=2", "pageSize", "occurs more than once"),
        ("category=%00", "category", "must not contain U+0000"),
        ("category=%ff", "category", "is not UTF-8"),
        ("category=%zz", "category", "is not UTF-8"),
        ("%ff=1", "query", "is not UTF-8"),
    ],
)
async def test_a_query_is_checked(world: Any, query: str, field: str, detail: str) -> None:
    assert fields(await world.send("GET", f"/api/v1/products?{query}")) == {field: detail}


async def test_a_query_parameter_that_must_be_given(world: Any) -> None:
    assert fields(await world.send("GET", "/api/v1/products:search")) == {"q": "must be given"}
    assert fields(await world.send("GET", "/api/v1/products:search?q=")) == {"q": "must be 1 to 200 characters"}


@pytest.mark.parametrize("segment", ["%ff", "%zz", "%00", "%"])
async def test_a_path_is_checked(world: Any, segment: str) -> None:
    assert set(fields(await world.send("GET", f"/api/v1/stock/{segment}"))) == {"productId"}


async def test_every_violation_of_a_body_is_named(world: Any) -> None:
    body = {**ORDER, "items": [{"productId": 1, "quantity": "2"}], "note": 1, "payment_method": "x"}
    assert fields(await world.send("POST", ORDERS, body, token=world.token())) == {
        "items[0].productId": "must be a string",
        "items[0].quantity": "must be an integer",
        "items[0].price": "must be given",
        "note": "is not a field",
        "payment_method": "is not a field; did you mean paymentMethod?",
    }
    assert world.services.count("PlaceOrder") == 0


async def test_a_duplicate_key_is_refused(world: Any) -> None:
    body = json.dumps(ORDER).replace('"price": 1200', '"price": 1200, "price": 1').encode()
    assert fields(await world.send("POST", ORDERS, body, token=world.token())) == {
        "items[0].price": "occurs more than once"
    }


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"null", b'{"a":NaN}', b"[" * 5000])
async def test_what_is_not_an_object_is_refused(world: Any, body: bytes) -> None:
    assert set(fields(await world.send("POST", ORDERS, body, token=world.token()))) == {"body"}


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Type", "text/plain")],
        [("Content-Type", "")],
        [("Content-Type", "application/json; charset=latin-1")],
        [("Content-Type", "application/jsonp")],
        [("Content-Type", "application/json"), ("Content-Type", "application/json")],
        [("Content-Type", "application/json"), ("Content-Encoding", "gzip")],
    ],
)
async def test_another_content_type_is_415(world: Any, headers: list[tuple[str, str]]) -> None:
    response = await world.send("POST", ORDERS, ORDER, token=world.token(), headers=headers)
    problem(response, 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON ; Charset=UTF-8", 'application/json;charset="utf-8"']
)
async def test_json_is_recognised(world: Any, kind: str) -> None:
    response = await world.send("POST", ORDERS, ORDER, token=world.token(), headers=[("Content-Type", kind)])
    assert response.status == 201


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_413_and_drained(world: Any, *, chunked: bool) -> None:
    chunks = [b" " * 65536] * 20
    body = chunks if chunked else b"".join(chunks)
    response = await world.send(
        "POST", ORDERS, body, token=world.token(), headers=[("content-type", "application/json")]
    )
    problem(response, 413, "BODY_TOO_LARGE")
    assert world.client.drained == 65536 * 20
    assert "connection" not in response.headers


async def test_draining_ends(world: Any) -> None:
    chunks = [b" " * LIMIT] * 10
    response = await world.send("POST", ORDERS, chunks, token=world.token())
    problem(response, 413, "BODY_TOO_LARGE")
    assert world.client.drained <= 7 * LIMIT
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/nowhere", 404), ("PUT", ORDERS, 405), ("POST", ORDERS, 401)]
)
async def test_an_unwanted_body_is_drained_whatever_the_answer(world: Any, method: str, path: str, status: int) -> None:
    assert (await world.send(method, path, b"x" * 1000)).status == status
    assert world.client.drained == 1000


async def test_a_body_of_exactly_the_limit_is_read(world: Any) -> None:
    body = json.dumps(ORDER).encode()
    response = await world.send("POST", ORDERS, body + b" " * (LIMIT - len(body)), token=world.token())
    assert response.status == 201


async def test_an_action_takes_no_body_or_an_empty_object(world: Any) -> None:
    for body in (b"", b"{}"):
        assert (await world.send("POST", "/api/v1/orders/O-1:cancel", body, token=world.token())).status == 200
    assert set(fields(await world.send("POST", "/api/v1/orders/O-1:cancel", {"id": "O-2"}, token=world.token()))) == {
        "id"
    }


async def test_a_body_that_is_needed_must_be_there(world: Any) -> None:
    assert fields(await world.send("POST", ORDERS, token=world.token())) == {"body": "must be given"}


async def test_too_many_headers_are_431(world: Any) -> None:
    many = [(f"x-{number}", "y") for number in range(101)]
    problem(await world.send("GET", "/healthz", headers=many), 431, "HEADERS_TOO_LARGE")
    problem(await world.send("GET", "/healthz", headers=[("x", "y" * 40_000)]), 431, "HEADERS_TOO_LARGE")


async def test_a_target_that_is_too_long_is_414(world: Any) -> None:
    problem(await world.send("GET", "/api/v1/products?category=" + "x" * 8192), 414, "URI_TOO_LONG")
    problem(await world.send("GET", "/" + "x" * 8192), 414, "URI_TOO_LONG")


async def test_the_key_may_come_as_a_header(world: Any) -> None:
    body = {name: value for name, value in ORDER.items() if name != "idempotencyKey"}
    response = await world.send("POST", ORDERS, body, token=world.token(), headers=[("Idempotency-Key", "from header")])
    assert response.status == 201
    assert world.services.last[1].idempotency_key == "from header"


@pytest.mark.parametrize(
    ("field", "headers"),
    [
        (None, []),
        ("", []),
        ("a", ["b"]),
        ("a", ["a", "a"]),
        ("x" * 256, []),
        (None, ["x" * 256]),
        ("a\n", []),
        ("ä", []),
        (None, ["\xe4"]),
    ],
)
async def test_a_key_must_be_one_and_sane(world: Any, field: str | None, headers: list[str]) -> None:
    body = {**ORDER, "idempotencyKey": field} if field is not None else {**ORDER}
    if field is None:
        del body["idempotencyKey"]
    sent = [("Idempotency-Key", value) for value in headers]
    assert set(fields(await world.send("POST", ORDERS, body, token=world.token(), headers=sent))) == {"idempotencyKey"}


async def test_a_client_that_goes_away_while_sending_is_not_served(world: Any) -> None:
    response = await world.client.send("POST", ORDERS, b'{"items"', token=world.token(), leave=True)
    assert response.status == 0
    assert world.services.count("PlaceOrder") == 0


async def test_a_length_may_begin_with_any_number_of_zeros(world: Any) -> None:
    for octets, status in ((len(json.dumps(ORDER)), 201), (LIMIT + 1, 413)):
        headers = [("content-length", "0" * 5_000 + str(octets)), ("content-type", "application/json")]
        body = [json.dumps(ORDER).encode(), b""]
        response = await world.send("POST", ORDERS, body, token=world.token(), headers=headers)
        assert response.status == status
