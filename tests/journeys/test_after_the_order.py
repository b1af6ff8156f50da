"""What may happen to a confirmed order: cancelled, shipped, delivered, refunded in part."""

from tests.market.api import new_key
from tests.market.mailbox import text_of
from tests.market.shop import Shop

ORDERS = "/api/v1/orders"


def test_cancelling_gives_money_and_stock_back(shop: Shop) -> None:
    lamp, buyer = shop.product(stock=5), shop.buyer()
    order = buyer.buy((lamp, 2, 1_200))
    assert shop.stock(lamp) == 3
    cancelled = buyer.ok("POST", f"{ORDERS}/{order['id']}:cancel")
    assert (cancelled["status"], cancelled["refundedTotal"]) == ("CANCELLED", 2_400)
    assert shop.stock(lamp) == 5
    (payment,) = buyer.payments(order["id"])
    assert (payment["status"], payment["refunded"]) == ("REFUNDED", 2_400)
    assert buyer.ok("POST", f"{ORDERS}/{order['id']}:cancel")["status"] == "CANCELLED"
    shop.mailbox.await_letter(order["id"], "cancelled")
    assert "€24.00" in text_of(shop.mailbox.await_letter(order["id"], "refund"))


def test_a_parcel_goes_its_way(shop: Shop) -> None:
    lamp, buyer = shop.product(), shop.buyer()
    order = buyer.buy((lamp, 1, 1_200))
    path = f"{ORDERS}/{order['id']}"
    buyer.problem(403, "FORBIDDEN", "POST", f"{path}:ship")
    shop.admin.problem(409, "NOT_DELIVERABLE", "POST", f"{path}:deliver")
    for _ in range(2):
        assert shop.admin.ok("POST", f"{path}:ship")["status"] == "SHIPPED"
    buyer.problem(409, "NOT_CANCELLABLE", "POST", f"{path}:cancel")
    for _ in range(2):
        assert shop.admin.ok("POST", f"{path}:deliver")["status"] == "DELIVERED"
    buyer.problem(409, "NOT_CANCELLABLE", "POST", f"{path}:cancel")
    shop.admin.problem(409, "NOT_SHIPPABLE", "POST", f"{path}:ship")
    shop.admin.problem(404, "ORDER_NOT_FOUND", "POST", f"{ORDERS}/ORD-none:ship")
    assert buyer.order(order["id"])["status"] == "DELIVERED"
    shop.mailbox.await_letter(order["id"], "on its way")
    times = {event["type"]: event["time"] for event in buyer.ok("GET", f"{path}/events")["events"]}
    assert buyer.ok("GET", f"{path}?asOf={times['OrderShipped']}")["status"] == "SHIPPED"
    assert buyer.ok("GET", f"{path}?asOf={times['OrderPlaced']}")["status"] == "PENDING"
    buyer.problem(404, "ORDER_NOT_FOUND", "GET", f"{path}?asOf=2020-01-01T00:00:00Z")
    buyer.problem(400, "INVALID_REQUEST", "GET", f"{path}?asOf=yesterday")
    shop.buyer().problem(404, "ORDER_NOT_FOUND", "GET", f"{path}?asOf={times['OrderShipped']}")


def test_what_was_rejected_or_cancelled_is_not_shipped(shop: Shop) -> None:
    lamp, buyer = shop.product(), shop.buyer()
    order = buyer.buy((lamp, 1, 1_200))
    buyer.ok("POST", f"{ORDERS}/{order['id']}:cancel")
    shop.admin.problem(409, "NOT_SHIPPABLE", "POST", f"{ORDERS}/{order['id']}:ship")
    poor = shop.buyer("tok_declined")
    poor.problem(402, "PAYMENT_DECLINED", "POST", ORDERS, json=poor.wish((lamp, 1, 1_200)))
    (rejected,) = poor.ok("GET", ORDERS)["orders"]
    shop.admin.problem(409, "NOT_SHIPPABLE", "POST", f"{ORDERS}/{rejected['id']}:ship")
    poor.problem(409, "NOT_CANCELLABLE", "POST", f"{ORDERS}/{rejected['id']}:cancel")


def test_cancelling_what_may_be_retried_makes_it_final(shop: Shop) -> None:
    lamp, buyer = shop.product(), shop.buyer("tok_error")
    body = buyer.wish((lamp, 1, 1_200))
    buyer.problem(503, "PAYMENT_UNAVAILABLE", "POST", ORDERS, json=body)
    (order,) = buyer.ok("GET", ORDERS)["orders"]
    cancelled = buyer.ok("POST", f"{ORDERS}/{order['id']}:cancel")
    assert (cancelled["status"], cancelled["retryable"]) == ("REJECTED", False)
    buyer.problem(409, "ORDER_CANCELLED", "POST", ORDERS, json=body)


def test_refunds_in_part_add_up(shop: Shop) -> None:
    lamp, buyer = shop.product(), shop.buyer()
    order = buyer.buy((lamp, 2, 1_200))
    path, key = f"/api/v1/payments/{order['paymentId']}:refund", new_key()
    body = {"amount": 400, "reason": "a scratch", "idempotencyKey": key}
    buyer.problem(403, "FORBIDDEN", "POST", path, json=body)
    for _ in range(2):
        payment = shop.admin.ok("POST", path, json=body)
        assert (payment["status"], payment["refunded"]) == ("PARTIALLY_REFUNDED", 400)
    shop.admin.problem(422, "IDEMPOTENCY_KEY_REUSED", "POST", path, json={**body, "amount": 401})
    buyer.await_order(order["id"], lambda order: order["refundedTotal"] == 400)
    assert "€4.00" in text_of(shop.mailbox.await_letter(order["id"], "refund"))

    for amount, field in ((0, "amount"), (-1, "amount")):
        shop.admin.invalid(field, "POST", path, json={**body, "amount": amount, "idempotencyKey": new_key()})
    shop.admin.problem(
        409, "REFUND_TOO_LARGE", "POST", path, json={**body, "amount": 2_001, "idempotencyKey": new_key()}
    )
    payment = shop.admin.ok("POST", path, json={**body, "amount": 2_000, "idempotencyKey": new_key()})
    assert (payment["status"], payment["refunded"]) == ("REFUNDED", 2_400)
    assert buyer.await_order(order["id"], lambda order: order["refundedTotal"] == 2_400)["status"] == "CONFIRMED"
    another = shop.admin.post(path, json={**body, "amount": 1, "idempotencyKey": new_key()})
    assert (another.status_code, another.json()["code"]) in ((409, "REFUND_TOO_LARGE"), (409, "NOT_REFUNDABLE"))
    unknown = {**body, "idempotencyKey": new_key()}
    shop.admin.problem(404, "PAYMENT_NOT_FOUND", "POST", "/api/v1/payments/PAY-none:refund", json=unknown)


def test_cancelling_after_a_part_was_refunded_gives_back_the_rest(shop: Shop) -> None:
    lamp, buyer = shop.product(stock=3), shop.buyer()
    order = buyer.buy((lamp, 1, 1_200))
    body = {"amount": 500, "reason": "late", "idempotencyKey": new_key()}
    shop.admin.ok("POST", f"/api/v1/payments/{order['paymentId']}:refund", json=body)
    cancelled = buyer.ok("POST", f"{ORDERS}/{order['id']}:cancel")
    assert (cancelled["status"], cancelled["refundedTotal"]) == ("CANCELLED", 1_200)
    (payment,) = buyer.payments(order["id"])
    assert (payment["status"], payment["refunded"]) == ("REFUNDED", 1_200)
    assert shop.stock(lamp) == 3
