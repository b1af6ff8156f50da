"""Cards that take their time: the buyer waits, or is told that it goes on; nobody pays twice."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.market.shop import Buyer, Shop

ORDERS = "/api/v1/orders"


def _place(buyer: Buyer, product: str) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    response = buyer.post(ORDERS, json=buyer.wish((product, 1, 1_200)))
    return response, time.monotonic() - began


def _charged(buyer: Buyer, order_id: str) -> list[int]:
    return [payment["amount"] for payment in buyer.payments(order_id) if payment["status"] == "CAPTURED"]


def test_slow_and_silent_cards_are_charged_once(shop: Shop) -> None:
    lamp, slow, silent = shop.product(stock=2), shop.buyer("tok_slow"), shop.buyer("tok_timeout")
    with ThreadPoolExecutor(2) as pool:
        slowly, silently = pool.map(lambda buyer: _place(buyer, lamp), (slow, silent))
    response, took = slowly
    assert response.status_code in (201, 202), response.text  # a busy machine may take longer than an answer
    assert took > 2.5
    order_id = response.json()["id"]
    slow.await_order(order_id, lambda order: order["status"] == "CONFIRMED")
    assert _charged(slow, order_id) == [1_200]

    response, took = silently
    assert response.status_code in (201, 202), response.text
    assert response.json()["status"] == {201: "CONFIRMED", 202: "PENDING"}[response.status_code]
    order_id = response.json()["id"]
    assert response.headers["location"] == f"{ORDERS}/{order_id}"
    silent.await_order(order_id, lambda order: order["status"] == "CONFIRMED")
    assert _charged(silent, order_id) == [1_200]
    assert shop.stock(lamp) == 0


def test_whoever_asks_again_meanwhile_waits_for_the_same_order(shop: Shop) -> None:
    lamp, buyer = shop.product(stock=5), shop.buyer("tok_slow")
    body = buyer.wish((lamp, 1, 1_200))
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: buyer.place(body), range(3)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert shop.stock(lamp) == 4
    assert _charged(buyer, answers[0].json()["id"]) == [1_200]


def test_a_wish_to_cancel_while_it_is_placed_takes_effect_after(shop: Shop) -> None:
    lamp, buyer = shop.product(stock=5), shop.buyer("tok_slow")
    body = buyer.wish((lamp, 1, 1_200))
    with ThreadPoolExecutor(1) as pool:
        placing = pool.submit(lambda: buyer.post(ORDERS, json=body))
        while not (orders := buyer.ok("GET", ORDERS)["orders"]):
            assert not placing.done()
        assert orders[0]["status"] == "PENDING"
        cancelled = buyer.post(f"{ORDERS}/{orders[0]['id']}:cancel")
        assert cancelled.status_code in (200, 202), cancelled.text
        assert placing.result().status_code in (201, 202)
    order = buyer.await_order(orders[0]["id"], lambda order: order["status"] == "CANCELLED")
    assert order["refundedTotal"] == order["total"]
    assert shop.stock(lamp) == 5
