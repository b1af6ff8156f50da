"""Placing orders: how each may end, and that asking again changes nothing."""

import re

import pytest

from tests.market.api import new_key, refused, wish
from tests.market.mailbox import text_of
from tests.market.shop import Shop

ORDERS = "/api/v1/orders"
VERBATIM = b"""{"items": [{"productId": "P-101", "quantity": 2, "price": 1200}],
 "shippingAddressId": "ADDR-55", "paymentMethod": "card", "idempotencyKey": "uuid-client-generated-key"}"""
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")


def test_the_request_of_the_documentation(shop: Shop) -> None:
    before = shop.stock("P-101")
    first = shop.demo.post(ORDERS, content=VERBATIM, headers={"content-type": "application/json"})
    assert first.status_code == 201, first.text
    order = first.json()
    assert order.pop("id") in first.headers["location"]
    assert first.headers["location"] == f"{ORDERS}/{first.json()['id']}"
    assert order.pop("paymentId").startswith("PAY-")
    assert TIME.fullmatch(order.pop("createdAt"))
    assert TIME.fullmatch(order.pop("updatedAt"))
    assert order == {
        "status": "CONFIRMED",
        "items": [{"productId": "P-101", "quantity": 2, "price": 1200}],
        "total": 2400,
        "currency": "EUR",
        "shippingAddressId": "ADDR-55",
        "paymentMethod": "card",
        "refundedTotal": 0,
    }
    assert "idempotent-replayed" not in first.headers

    again = shop.demo.post(ORDERS, content=VERBATIM, headers={"content-type": "application/json"})
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert shop.stock("P-101") == before - 2
    orders = shop.demo.ok("GET", ORDERS, params={"pageSize": 100})["orders"]
    assert [order["id"] for order in orders].count(first.json()["id"]) == 1
    payments = shop.demo.ok("GET", "/api/v1/payments", params={"pageSize": 100})["payments"]
    (payment,) = [payment for payment in payments if payment["orderId"] == first.json()["id"]]
    assert TIME.fullmatch(payment.pop("createdAt"))
    assert payment == {
        "id": first.json()["paymentId"],
        "orderId": first.json()["id"],
        "amount": 2400,
        "currency": "EUR",
        "method": "visa 4242",
        "status": "CAPTURED",
        "refunded": 0,
    }
    letter = shop.mailbox.await_letter(first.json()["id"], "confirmed")
    assert "demo@souk.test" in letter["to"]
    assert "€24.00" in text_of(letter)


def test_an_order_of_several_products_is_read_back(shop: Shop) -> None:
    lamp, rug = shop.product(price=1_200), shop.product(price=9_900)
    buyer = shop.buyer()
    order = buyer.buy((lamp, 2, 1_200), (rug, 1, 9_900))
    assert order["total"] == 12_300
    read = buyer.order(order["id"])
    assert {**read, "updatedAt": ""} == {**order, "updatedAt": ""}  # its stock is committed after the answer
    assert (shop.stock(lamp), shop.stock(rug)) == (8, 9)
    history = buyer.ok("GET", f"{ORDERS}/{order['id']}/events")["events"]
    assert [event["sequence"] for event in history] == list(range(1, len(history) + 1))
    assert [event["type"] for event in history][:3] == ["OrderPlaced", "StockReserved", "OrderConfirmed"]
    assert all(TIME.fullmatch(event["time"]) and isinstance(event["data"], dict) for event in history)
    assert buyer.email not in str(history)


def test_a_free_order_is_confirmed_without_a_charge(shop: Shop) -> None:
    gift, buyer = shop.product(price=0), shop.buyer()
    order = buyer.buy((gift, 1, 0))
    assert order["total"] == 0
    assert buyer.payments(order["id"]) == []


@pytest.mark.parametrize("card", ["tok_declined", "tok_insufficient_funds"])
def test_a_declined_card_leaves_everything_as_it_was(shop: Shop, card: str) -> None:
    lamp, buyer = shop.product(stock=5), shop.buyer(card)
    body = buyer.wish((lamp, 2, 1_200))
    first = buyer.post(ORDERS, json=body)
    document = refused(first, 402, "PAYMENT_DECLINED")
    assert document["reason"] == {"tok_declined": "card_declined"}.get(card, "insufficient_funds")
    assert shop.stock(lamp) == 5
    again = buyer.post(ORDERS, json=body)
    assert {**refused(again, 402, "PAYMENT_DECLINED"), "requestId": ""} == {**document, "requestId": ""}
    assert again.headers["idempotent-replayed"] == "true"
    (order,) = buyer.ok("GET", ORDERS)["orders"]
    assert (order["status"], order["reason"], order["retryable"]) == ("REJECTED", "PAYMENT_DECLINED", False)
    assert "paymentId" not in order
    (payment,) = buyer.payments(order["id"])
    assert payment["status"] == "DECLINED"
    letter = shop.mailbox.await_letter(order["id"], "could not be placed")
    assert "declined" in text_of(letter)


def test_a_failing_provider_is_a_503_that_the_same_key_may_retry(shop: Shop) -> None:
    lamp, buyer = shop.product(stock=5), shop.buyer("tok_error")
    body = buyer.wish((lamp, 2, 1_200))
    buyer.problem(503, "PAYMENT_UNAVAILABLE", "POST", ORDERS, json=body)
    assert shop.stock(lamp) == 5
    (order,) = buyer.ok("GET", ORDERS)["orders"]
    assert (order["status"], order["retryable"]) == ("REJECTED", True)
    assert shop.mailbox.about(order["id"]) == []

    buyer.save_card("tok_visa", isDefault=True)
    retried = buyer.post(ORDERS, json=body)
    assert retried.status_code == 201, retried.text
    assert retried.json()["id"] == order["id"]
    assert shop.stock(lamp) == 3
    assert [payment["status"] for payment in buyer.payments(order["id"])].count("CAPTURED") == 1
    assert len(buyer.ok("GET", ORDERS)["orders"]) == 1


def test_a_price_that_has_changed(shop: Shop) -> None:
    lamp, rug, buyer = shop.product(), shop.product(price=500), shop.buyer()
    body = buyer.wish((lamp, 2, 1_000), (rug, 1, 500))
    document = buyer.problem(409, "PRICE_CHANGED", "POST", ORDERS, json=body)
    assert document["items"] == [{"productId": lamp, "price": 1_200}]
    shop.admin.ok("PATCH", f"/api/v1/products/{lamp}", json={"price": 1_000})
    again = buyer.post(ORDERS, json=body)
    assert refused(again, 409, "PRICE_CHANGED")["items"] == document["items"]
    assert again.headers["idempotent-replayed"] == "true"
    assert buyer.ok("GET", ORDERS)["orders"] == []


def test_more_than_there_is(shop: Shop) -> None:
    lamp, rug, buyer = shop.product(stock=1), shop.product(stock=5), shop.buyer()
    document = buyer.problem(409, "OUT_OF_STOCK", "POST", ORDERS, json=buyer.wish((lamp, 2, 1_200), (rug, 1, 1_200)))
    assert document["items"] == [{"productId": lamp, "available": 1}]
    assert (shop.stock(lamp), shop.stock(rug)) == (1, 5)
    (order,) = buyer.ok("GET", ORDERS)["orders"]
    assert (order["status"], order["reason"]) == ("REJECTED", "OUT_OF_STOCK")
    shop.mailbox.await_letter(order["id"], "could not be placed")


def test_a_replay_is_the_first_answer_whatever_has_changed(shop: Shop) -> None:
    lamp, buyer = shop.product(), shop.buyer()
    body = buyer.wish((lamp, 1, 1_200))
    first = buyer.ok("POST", ORDERS, 201, json=body)
    shop.admin.ok("PATCH", f"/api/v1/products/{lamp}", json={"price": 2_000})
    buyer.ok("DELETE", f"/api/v1/addresses/{buyer.home}", 204)
    buyer.ok("POST", f"{ORDERS}/{first['id']}:cancel")
    assert buyer.ok("POST", ORDERS, 201, json=body) == first


def test_a_key_is_for_one_request(shop: Shop) -> None:
    lamp, buyer = shop.product(), shop.buyer()
    body = buyer.wish((lamp, 1, 1_200))
    buyer.ok("POST", ORDERS, 201, json=body)
    other = {**body, "items": [{"productId": lamp, "quantity": 2, "price": 1_200}]}
    buyer.problem(422, "IDEMPOTENCY_KEY_REUSED", "POST", ORDERS, json=other)
    stranger = shop.buyer()
    stranger.ok("POST", ORDERS, 201, json={**body, "shippingAddressId": stranger.home})


def test_the_key_may_be_in_the_header(shop: Shop) -> None:
    lamp, buyer, key = shop.product(), shop.buyer(), new_key()
    body = buyer.wish((lamp, 1, 1_200), key=key)
    bare = {name: value for name, value in body.items() if name != "idempotencyKey"}
    order = buyer.ok("POST", ORDERS, 201, json=bare, headers={"Idempotency-Key": key})
    assert buyer.ok("POST", ORDERS, 201, json=body) == order
    assert buyer.ok("POST", ORDERS, 201, json=body, headers={"Idempotency-Key": key}) == order
    buyer.problem(400, "INVALID_REQUEST", "POST", ORDERS, json=body, headers={"Idempotency-Key": "another"})
    buyer.invalid("idempotencyKey", "POST", ORDERS, json=bare)


def test_what_is_unknown_leaves_the_key_unused(shop: Shop) -> None:
    lamp, buyer = shop.product(), shop.stranger()
    body = wish((lamp, 1, 1_200), address="ADDR-none")
    buyer.problem(404, "ADDRESS_NOT_FOUND", "POST", ORDERS, json=body)
    buyer.move_in()
    body = {**body, "shippingAddressId": buyer.home}
    document = buyer.problem(404, "PAYMENT_METHOD_NOT_FOUND", "POST", ORDERS, json=body)
    assert "default card" in document["detail"]
    card = buyer.save_card("tok_visa")
    unknown = {**body, "items": [{"productId": "P-none", "quantity": 1, "price": 1_200}]}
    assert "P-none" in buyer.problem(404, "PRODUCT_NOT_FOUND", "POST", ORDERS, json=unknown)["detail"]
    method = {**body, "paymentMethod": "PM-none"}
    buyer.problem(404, "PAYMENT_METHOD_NOT_FOUND", "POST", ORDERS, json=method)
    buyer.ok("POST", ORDERS, 201, json={**body, "paymentMethod": card["id"]})


def test_of_others_nothing_can_be_used_or_seen(shop: Shop) -> None:
    lamp, owner, other = shop.product(), shop.buyer(), shop.buyer()
    order = owner.buy((lamp, 1, 1_200))
    card = owner.ok("GET", "/api/v1/payment-methods")["paymentMethods"][0]["id"]
    path = f"{ORDERS}/{order['id']}"
    for method, where in (("GET", path), ("GET", f"{path}/events"), ("POST", f"{path}:cancel")):
        other.problem(404, "ORDER_NOT_FOUND", method, where)
    other.problem(404, "ORDER_NOT_FOUND", "GET", f"{ORDERS}/ORD-none")
    other.problem(404, "PAYMENT_NOT_FOUND", "GET", f"/api/v1/payments/{order['paymentId']}")
    for method in ("GET", "DELETE"):
        other.problem(404, "ADDRESS_NOT_FOUND", method, f"/api/v1/addresses/{owner.home}")
    other.problem(404, "ADDRESS_NOT_FOUND", "PATCH", f"/api/v1/addresses/{owner.home}", json={"city": "Rome"})
    other.problem(404, "PAYMENT_METHOD_NOT_FOUND", "DELETE", f"/api/v1/payment-methods/{card}")
    body = other.wish((lamp, 1, 1_200))
    other.problem(404, "ADDRESS_NOT_FOUND", "POST", ORDERS, json={**body, "shippingAddressId": owner.home})
    other.problem(404, "PAYMENT_METHOD_NOT_FOUND", "POST", ORDERS, json={**body, "paymentMethod": card})
    assert other.ok("GET", ORDERS)["orders"] == []
    assert other.ok("GET", "/api/v1/payments")["payments"] == []
