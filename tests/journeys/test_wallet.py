"""Paying with money that is kept at the shop."""

from tests.market.api import new_key
from tests.market.shop import Shop

ORDERS, WALLET, TOP_UP = "/api/v1/orders", "/api/v1/wallet", "/api/v1/wallet:topUp"


def _top_up(amount: int, currency: str = "EUR", token: str = "tok_visa", key: str = "") -> dict[str, object]:
    return {"amount": amount, "currency": currency, "cardToken": token, "idempotencyKey": key or new_key()}


def test_the_demo_user_pays_from_the_wallet(shop: Shop) -> None:
    lamp = shop.product()
    before = shop.demo.ok("GET", WALLET)
    assert before.keys() == {"balance", "currency"}
    body = {
        "items": [{"productId": lamp, "quantity": 1, "price": 1_200}],
        "shippingAddressId": "ADDR-55",
        "paymentMethod": "wallet",
        "idempotencyKey": new_key(),
    }
    order = shop.demo.ok("POST", ORDERS, 201, json=body)
    assert order["paymentMethod"] == "wallet"
    assert shop.demo.ok("GET", WALLET)["balance"] == before["balance"] - 1_200
    assert shop.demo.ok("GET", f"/api/v1/payments/{order['paymentId']}")["method"] == "wallet"


def test_money_comes_in_and_goes_back(shop: Shop) -> None:
    lamp, buyer, key = shop.product(), shop.buyer(None), new_key()
    assert buyer.ok("GET", WALLET)["balance"] == 0
    for _ in range(2):
        assert buyer.ok("POST", TOP_UP, json=_top_up(3_000, key=key)) == {"balance": 3_000, "currency": "EUR"}
    buyer.problem(422, "IDEMPOTENCY_KEY_REUSED", "POST", TOP_UP, json=_top_up(4_000, key=key))
    order = buyer.buy((lamp, 2, 1_200), method="wallet")
    assert buyer.ok("GET", WALLET)["balance"] == 600
    assert buyer.ok("GET", "/api/v1/payments")["payments"][0]["orderId"] == order["id"]
    buyer.ok("POST", f"{ORDERS}/{order['id']}:cancel")
    assert buyer.ok("GET", WALLET)["balance"] == 3_000


def test_a_wallet_that_is_short(shop: Shop) -> None:
    lamp, buyer = shop.product(stock=4), shop.buyer(None)
    buyer.ok("POST", TOP_UP, json=_top_up(1_000))
    document = buyer.problem(
        402, "PAYMENT_DECLINED", "POST", ORDERS, json=buyer.wish((lamp, 1, 1_200), method="wallet")
    )
    assert document["reason"] == "insufficient_funds"
    assert buyer.ok("GET", WALLET)["balance"] == 1_000
    assert shop.stock(lamp) == 4


def test_a_wallet_in_another_currency(shop: Shop) -> None:
    lamp, buyer = shop.product(stock=4), shop.buyer(None)
    assert buyer.ok("POST", TOP_UP, json=_top_up(9_000, "USD")) == {"balance": 9_000, "currency": "USD"}
    document = buyer.problem(
        402, "PAYMENT_DECLINED", "POST", ORDERS, json=buyer.wish((lamp, 1, 1_200), method="wallet")
    )
    assert document["reason"] == "currency_mismatch"
    buyer.problem(409, "CURRENCY_MISMATCH", "POST", TOP_UP, json=_top_up(100, "EUR"))
    assert buyer.ok("GET", WALLET) == {"balance": 9_000, "currency": "USD"}
    assert shop.stock(lamp) == 4


def test_top_ups_that_fail(shop: Shop) -> None:
    buyer = shop.buyer(None)
    buyer.problem(402, "PAYMENT_DECLINED", "POST", TOP_UP, json=_top_up(100, token="tok_declined"))
    buyer.problem(503, "PAYMENT_UNAVAILABLE", "POST", TOP_UP, json=_top_up(100, token="tok_error"))
    for field, body in (
        ("amount", _top_up(0)),
        ("amount", _top_up(-5)),
        ("amount", _top_up(2**53)),
        ("currency", _top_up(100, "euro")),
        ("cardToken", _top_up(100, token="4111111111111111")),
        ("cardToken", _top_up(100, token="tok_unknown")),
    ):
        buyer.invalid(field, "POST", TOP_UP, json=body)
    assert buyer.ok("GET", WALLET)["balance"] == 0
