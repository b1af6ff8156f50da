"""Every way to ask wrongly is refused, and the answer names what is wrong."""

from typing import Any

import httpx
import pytest

from tests.market.api import wish
from tests.market.shop import PASSWORD, Shop

ORDERS = "/api/v1/orders"
LINE = {"productId": "P-101", "quantity": 1, "price": 1_200}
LARGEST = 2**53 - 1


def _lines(*lines: dict[str, Any]) -> dict[str, Any]:
    return {"items": list(lines)}


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("items", _lines()),
        ("items", _lines(*({**LINE, "productId": f"P-{number}"} for number in range(1, 102)))),
        ("items[1].productId", _lines(LINE, LINE)),
        ("items[0].productId", _lines({**LINE, "productId": ""})),
        ("items[0].quantity", _lines({**LINE, "quantity": 0})),
        ("items[0].quantity", _lines({**LINE, "quantity": -1})),
        ("items[0].quantity", _lines({**LINE, "quantity": 1_001})),
        ("items[0].quantity", _lines({**LINE, "quantity": 1.5})),
        ("items[0].quantity", _lines({**LINE, "quantity": "2"})),
        ("items[0].quantity", _lines({**LINE, "quantity": True})),
        ("items[0].price", _lines({**LINE, "price": -1})),
        ("items[0].price", _lines({**LINE, "price": 2**53})),
        ("items[0].price", _lines({"productId": "P-101", "quantity": 1})),
        ("items", _lines({**LINE, "price": LARGEST, "quantity": 2})),
        ("items", _lines({**LINE, "price": LARGEST}, {**LINE, "productId": "P-102", "price": LARGEST})),
        ("items[0].colour", _lines({**LINE, "colour": "red"})),
        ("items[0].product_id", _lines({**LINE, "product_id": "P-101"})),
        ("items", {"items": "P-101"}),
        ("items", {"items": None}),
        ("shippingAddressId", {"shippingAddressId": ""}),
        ("paymentMethod", {"paymentMethod": ""}),
        ("idempotencyKey", {"idempotencyKey": ""}),
        ("idempotencyKey", {"idempotencyKey": "k" * 256}),
        ("idempotencyKey", {"idempotencyKey": "ключ"}),
        ("idempotencyKey", {"idempotencyKey": "a\nb"}),
        ("userId", {"userId": "U-admin"}),
    ],
    ids=str,
)
def test_an_order_that_is_wrong_in_itself(shop: Shop, field: str, change: dict[str, Any]) -> None:
    shop.demo.invalid(field, "POST", ORDERS, json={**wish(("P-101", 1, 1_200)), **change})


def test_everything_that_is_wrong_is_named_at_once(shop: Shop) -> None:
    body = {**wish(("P-101", 0, -1)), "shippingAddressId": ""}
    document = shop.demo.problem(400, "INVALID_REQUEST", "POST", ORDERS, json=body)
    named = [error["field"] for error in document["errors"]]
    assert {"items[0].quantity", "items[0].price", "shippingAddressId"} <= set(named)


def test_a_card_number_is_never_a_payment_method(shop: Shop) -> None:
    number = "4111111111111111"
    response = shop.demo.post(ORDERS, json=wish(("P-101", 1, 1_200), method=number))
    assert response.status_code in (400, 404)
    assert number not in response.text


def test_one_currency_an_order(shop: Shop) -> None:
    lamp, rug, buyer = shop.product(), shop.product(currency="USD"), shop.buyer()
    body = buyer.wish((lamp, 1, 1_200), (rug, 1, 1_200))
    document = buyer.invalid("items", "POST", ORDERS, json=body)
    assert "currency" in document["detail"]
    assert buyer.buy((rug, 1, 1_200))["currency"] == "USD"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"items": [], "items": []}', b"{" * 5_000, b'{"items": NaN}'],
    ids=repr,
)
def test_a_body_that_is_no_such_object(shop: Shop, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    document = shop.demo.problem(400, "INVALID_REQUEST", "POST", ORDERS, content=body, headers=headers)
    assert document["errors"]


def test_a_query_that_is_wrong(shop: Shop) -> None:
    for field, path in (
        ("colour", "/api/v1/products?colour=red"),
        ("page_size", "/api/v1/products?page_size=5"),
        ("pageSize", "/api/v1/products?pageSize=0"),
        ("pageSize", "/api/v1/products?pageSize=101"),
        ("pageSize", "/api/v1/products?pageSize=many"),
        ("pageSize", "/api/v1/products?pageSize=1&pageSize=2"),
        ("pageToken", "/api/v1/products?pageToken=garbage"),
        ("minPrice", "/api/v1/products?minPrice=-1"),
        ("sort", "/api/v1/products?sort=colour"),
        ("q", "/api/v1/products:search"),
    ):
        shop.anyone.invalid(field, "GET", path)
    for path in ("orders", "addresses", "payment-methods", "payments"):
        shop.demo.invalid("pageToken", "GET", f"/api/v1/{path}?pageToken=garbage")
        shop.demo.invalid("pageSize", "GET", f"/api/v1/{path}?pageSize=1000")
        shop.demo.invalid("colour", "GET", f"/api/v1/{path}?colour=red")


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("email", {"email": "no address"}),
        ("email", {"email": ""}),
        ("password", {"password": "short"}),
        ("password", {"password": "x" * 257}),
        ("name", {"name": ""}),
        ("name", {"name": "x" * 101}),
        ("roles", {"roles": ["admin"]}),
    ],
    ids=str,
)
def test_a_registration_that_is_wrong(shop: Shop, field: str, change: dict[str, Any]) -> None:
    body = {"email": "somebody@souk.test", "password": PASSWORD, "name": "Somebody", **change}
    document = shop.anyone.invalid(field, "POST", "/api/v1/users", json=body)
    assert PASSWORD not in str(document)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("country", {"country": "Germany"}),
        ("country", {"country": "de"}),
        ("country", {"country": "ZZ"}),
        ("line1", {"line1": ""}),
        ("city", {"city": "x" * 1_000}),
        ("street", {"street": "Souk Street"}),
    ],
    ids=str,
)
def test_an_address_that_is_wrong(shop: Shop, field: str, change: dict[str, Any]) -> None:
    body = {"name": "N", "line1": "Street 1", "city": "Hamburg", "postalCode": "20095", "country": "DE", **change}
    shop.demo.invalid(field, "POST", "/api/v1/addresses", json=body)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("name", {"name": ""}),
        ("price", {"price": -1}),
        ("price", {"price": 2**53}),
        ("currency", {"currency": "euro"}),
        ("category", {"category": ""}),
    ],
    ids=str,
)
def test_a_product_that_is_wrong(shop: Shop, field: str, change: dict[str, Any]) -> None:
    body = {"name": "Lamp", "description": "", "category": "lamps", "price": 1, "currency": "EUR", **change}
    shop.admin.invalid(field, "POST", "/api/v1/products", json=body)


def test_another_content_type_is_415(shop: Shop) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
        headers = {"content-type": content_type}
        shop.demo.problem(415, "UNSUPPORTED_MEDIA_TYPE", "POST", ORDERS, content=b"{}", headers=headers)
    shop.demo.problem(415, "UNSUPPORTED_MEDIA_TYPE", "POST", ORDERS, content=b"{}")


def test_a_body_beyond_a_mebibyte_is_413(shop: Shop) -> None:
    headers = {"content-type": "application/json"}
    for size in (2**20 + 1, 3 * 2**20):
        shop.demo.problem(413, "BODY_TOO_LARGE", "POST", ORDERS, content=b" " * size, headers=headers)
    shop.demo.problem(400, "INVALID_REQUEST", "POST", ORDERS, content=b" " * 2**20, headers=headers)


def test_an_unknown_route_is_404_before_401(shop: Shop) -> None:
    for path in ("/nowhere", "/api/v1/nowhere", "/api/v1/orders/1/2/3", "/api/v1/orders/", "/api/v2/orders"):
        shop.anyone.problem(404, "ROUTE_NOT_FOUND", "GET", path)
    shop.anyone.problem(404, "ROUTE_NOT_FOUND", "POST", "/api/v1/orders/ORD-1:explode")
    shop.anyone.problem(401, "UNAUTHENTICATED", "GET", ORDERS)


def test_another_method_is_405_and_says_which_it_takes(shop: Shop) -> None:
    for method, path, allowed in (
        ("DELETE", ORDERS, {"GET", "POST"}),
        ("PUT", "/api/v1/products/P-101", {"GET", "PATCH", "DELETE"}),
        ("GET", "/api/v1/wallet:topUp", {"POST"}),
        ("POST", "/healthz", {"GET"}),
    ):
        response = shop.anyone.request(method, path)
        assert response.status_code == 405, response.text
        assert response.json()["code"] == "METHOD_NOT_ALLOWED"
        assert allowed <= {name.strip() for name in response.headers["allow"].split(",")}


def test_without_a_good_token_nothing_is_served(shop: Shop) -> None:
    good = shop.demo.token
    head, body, signature = good.split(".")
    none = "eyJhbGciOiJub25lIn0"
    for token in ("garbage", f"{head}.{body}.", f"{head}.{body}.{signature[::-1]}", f"{none}.{body}.", good[:-4]):
        response = shop.anyone.get(ORDERS, headers={"authorization": f"Bearer {token}"})
        assert response.status_code == 401, token
        assert response.headers["www-authenticate"].startswith("Bearer")
    for header in ("", "Basic ZGVtbzpkZW1v", f"bearer{good}", good):
        response = shop.anyone.get(ORDERS, headers={"authorization": header} if header else {})
        assert response.status_code == 401, header


def test_only_an_admin_may_keep_the_shop(shop: Shop) -> None:
    adjust = {"delta": 1, "reason": "mine", "idempotencyKey": "mine"}
    product = {"name": "N", "description": "", "category": "c", "price": 1, "currency": "EUR"}
    for method, path, body in (
        ("POST", "/api/v1/products", product),
        ("PATCH", "/api/v1/products/P-101", {"price": 1}),
        ("DELETE", "/api/v1/products/P-101", None),
        ("POST", "/api/v1/stock/P-101:adjust", adjust),
        ("POST", "/api/v1/orders/ORD-1:ship", None),
        ("POST", "/api/v1/orders/ORD-1:deliver", None),
        ("POST", "/api/v1/payments/PAY-1:refund", {"amount": 1, "reason": "mine", "idempotencyKey": "mine"}),
    ):
        arguments: dict[str, Any] = {"json": body} if body is not None else {}
        shop.demo.problem(403, "FORBIDDEN", method, path, **arguments)
        shop.anyone.problem(401, "UNAUTHENTICATED", method, path, **arguments)


def test_what_a_client_says_of_itself_is_not_believed(shop: Shop) -> None:
    headers = {"souk-caller": "U-admin", "x-user-id": "U-admin", "souk-roles": "admin"}
    response: httpx.Response = shop.demo.post("/api/v1/orders/ORD-1:ship", headers=headers)
    assert response.status_code == 403
