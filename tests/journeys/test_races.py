"""Many at once: nothing is sold, charged or given back twice."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

import httpx

from tests.market.api import new_key
from tests.market.shop import Shop

ORDERS = "/api/v1/orders"
AT_ONCE = httpx.Limits(max_connections=250)
PATIENCE = 300.0
ASK_AGAIN = (202, 503, 504)

Request = tuple[str, str, dict[str, Any] | None]
"""A token, a path and a body."""


def at_once(shop: Shop, requests: Iterable[Request]) -> list[httpx.Response]:
    """Posts all requests at the same time; one that gets 202, 503 or 504 is repeated with the same key."""

    async def ask(client: httpx.AsyncClient, request: Request) -> httpx.Response:
        token, path, body = request
        while True:
            answer = await client.post(path, json=body, headers={"authorization": f"Bearer {token}"})
            if answer.status_code not in ASK_AGAIN:
                return answer
            await asyncio.sleep(0.2)

    async def ask_all() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=shop.url, timeout=PATIENCE, limits=AT_ONCE) as client:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.gather(*(ask(client, request) for request in requests))

    return asyncio.run(ask_all())


def codes(answers: Iterable[httpx.Response]) -> Counter[str]:
    """Gives how each ended: the order's or payment's status, or the refusal's code."""
    return Counter(answer.json().get("code", answer.json().get("status")) for answer in answers)


def test_two_hundred_want_the_last_fifty(shop: Shop) -> None:
    # With a sidecar or TLS for each process two busy cores need longer for 200 orders than the 10 s that one may take.
    each = 8 if shop.mode in ("mesh", "containers") else 20
    lamp = shop.product(stock=50)
    buyers = [shop.buyer() for _ in range(10)] * each
    answers = at_once(shop, ((buyer.token, ORDERS, buyer.wish((lamp, 1, 1_200))) for buyer in buyers))
    assert codes(answers) == {"CONFIRMED": 50, "OUT_OF_STOCK": len(buyers) - 50}
    assert {answer.json()["items"][0]["available"] for answer in answers if answer.status_code == 409} <= set(range(1))
    assert shop.stock(lamp) == 0


def test_fifty_requests_with_one_key_are_one_order(shop: Shop) -> None:
    lamp, buyer = shop.product(stock=60), shop.buyer()
    body = buyer.wish((lamp, 1, 1_200))
    answers = at_once(shop, [(buyer.token, ORDERS, body)] * 50)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    (order,) = buyer.ok("GET", ORDERS)["orders"]
    assert [payment["status"] for payment in buyer.payments(order["id"])] == ["CAPTURED"]
    assert shop.stock(lamp) == 59


def test_one_key_for_two_wishes_is_one_order(shop: Shop) -> None:
    lamp, buyer = shop.product(stock=60), shop.buyer()
    bodies = [buyer.wish((lamp, 1 + number % 2, 1_200), key="the same") for number in range(20)]
    answers = at_once(shop, ((buyer.token, ORDERS, body) for body in bodies))
    assert codes(answers) == {"CONFIRMED": 10, "IDEMPOTENCY_KEY_REUSED": 10}
    assert len(buyer.ok("GET", ORDERS)["orders"]) == 1


def test_money_in_a_wallet_is_spent_once(shop: Shop) -> None:
    lamp, buyer = shop.product(stock=60), shop.buyer(None)
    top_up = {"amount": 4_000, "currency": "EUR", "cardToken": "tok_visa", "idempotencyKey": new_key()}
    paid_in = at_once(shop, [(buyer.token, "/api/v1/wallet:topUp", top_up)] * 5)
    assert {answer.json().get("balance") for answer in paid_in} == {4_000}
    wishes = [buyer.wish((lamp, 1, 1_200), method="wallet") for _ in range(12)]
    answers = at_once(shop, ((buyer.token, ORDERS, body) for body in wishes))
    assert codes(answers) == {"CONFIRMED": 3, "PAYMENT_DECLINED": 9}
    assert buyer.ok("GET", "/api/v1/wallet")["balance"] == 400
    assert shop.stock(lamp) == 57


def test_refunds_at_once_never_exceed_the_charge(shop: Shop) -> None:
    lamp, buyer = shop.product(), shop.buyer()
    order = buyer.buy((lamp, 2, 1_200))
    path = f"/api/v1/payments/{order['paymentId']}:refund"
    wanted = [{"amount": 500, "reason": "late", "idempotencyKey": new_key()} for _ in range(8)]
    answers = at_once(shop, ((shop.admin.token, path, body) for body in wanted))
    assert codes(answers) == {"PARTIALLY_REFUNDED": 4, "REFUND_TOO_LARGE": 4}
    buyer.await_order(order["id"], lambda order: order["refundedTotal"] == 2_000)


def test_an_order_is_shipped_or_cancelled_never_both(shop: Shop) -> None:
    lamp, buyer = shop.product(stock=20), shop.buyer()
    for _ in range(5):
        path = f"{ORDERS}/{buyer.buy((lamp, 1, 1_200))['id']}"
        wishes: list[Request] = [(buyer.token, f"{path}:cancel", None), (shop.admin.token, f"{path}:ship", None)]
        ends = codes(at_once(shop, wishes * 2))
        assert set(ends) in ({"CANCELLED", "NOT_SHIPPABLE"}, {"SHIPPED", "NOT_CANCELLABLE"}), ends
