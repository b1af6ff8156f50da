"""After an account is deleted, nothing of it is taken any more, though its token is still valid."""

from collections.abc import Callable

import pytest

from souk.descriptors.contract import Access, contract_of
from souk.runtime.config import entry_points
from souk.testing.system import until
from tests.market.api import Api, new_key
from tests.market.shop import HOME, PASSWORD, Buyer, Shop, browser

ME, PUSHES = "/api/v1/users/me", "/api/v1/push-subscriptions"
API_KEYS = "/api/v1/api-keys"
API_KEY = {"name": "till", "scopes": ["order:write"], "currentPassword": PASSWORD}
CARD = {"cardToken": "tok_visa"}

WRITES_NOTHING = {
    "/shop.user.v1.UserService/Logout": "there is no session left",
    "/shop.user.v1.UserService/DeleteMe": "there is nothing left",
}
"""Methods that answer as if it had been done, since there is nothing to do."""


def _asked(address: str, card: str, order: str) -> dict[str, tuple[str, str, object]]:
    top_up = {"amount": 500, "currency": "EUR", **CARD, "idempotencyKey": new_key()}
    wish = {
        "items": [{"productId": "P-101", "quantity": 1, "price": 1_200}],
        "shippingAddressId": address,
        "paymentMethod": "card",
        "idempotencyKey": new_key(),
    }
    password = {"currentPassword": PASSWORD, "newPassword": "another password"}
    return {
        "/shop.user.v1.UserService/ChangePassword": ("POST", f"{ME}:changePassword", password),
        "/shop.user.v1.UserService/UpdateMe": ("PATCH", ME, {"name": "Ghost"}),
        "/shop.user.v1.UserService/CreateAddress": ("POST", "/api/v1/addresses", HOME),
        "/shop.user.v1.UserService/UpdateAddress": ("PATCH", f"/api/v1/addresses/{address}", {"city": "Bremen"}),
        "/shop.user.v1.UserService/DeleteAddress": ("DELETE", f"/api/v1/addresses/{address}", None),
        "/shop.user.v1.UserService/CreatePushSubscription": ("POST", PUSHES, browser()),
        "/shop.user.v1.UserService/DeletePushSubscription": ("DELETE", f"{PUSHES}/PUSH-1", None),
        "/shop.user.v1.UserService/CreateApiKey": ("POST", API_KEYS, API_KEY),
        "/shop.user.v1.UserService/DeleteApiKey": ("DELETE", f"{API_KEYS}/0123456789abcdef", None),
        "/shop.order.v1.OrderService/PlaceOrder": ("POST", "/api/v1/orders", wish),
        "/shop.order.v1.OrderService/CancelOrder": ("POST", f"/api/v1/orders/{order}:cancel", None),
        "/shop.payment.v1.PaymentService/TopUpWallet": ("POST", "/api/v1/wallet:topUp", top_up),
        "/shop.payment.v1.PaymentService/CreatePaymentMethod": ("POST", "/api/v1/payment-methods", CARD),
        "/shop.payment.v1.PaymentService/DeletePaymentMethod": ("DELETE", f"/api/v1/payment-methods/{card}", None),
    }


def _writes_of_users() -> set[str]:
    """Every method with which a user, and not only an admin, changes something."""
    found = set()
    for service in entry_points.app(None).services:
        for name, method in contract_of(service.contract).methods.items():
            policy = method.policy
            if policy.access is Access.CALLER and method.http and not method.read_only and not policy.roles:
                found.add(name)
    return found


def test_no_service_takes_anything_from_an_account_that_was_deleted(shop: Shop) -> None:
    ghost, order, card = _deleted(shop)
    asked = _asked(ghost.home, card, order)
    assert asked.keys() | WRITES_NOTHING.keys() == _writes_of_users(), "each method is asked here"
    # The other services hear of it a moment later.
    heard = _refused(ghost, *asked["/shop.payment.v1.PaymentService/CreatePaymentMethod"])
    until(heard, 60, "Payment takes no card of theirs")
    until(_refused(ghost, *asked["/shop.order.v1.OrderService/CancelOrder"]), 60, "Order takes nothing of theirs")
    taken = {name: status for name, call in asked.items() if (status := _status(ghost, *call)) not in (401, 404)}
    assert taken == {}
    assert ghost.get("/api/v1/wallet").json().get("balance", 0) == 0


def _deleted(shop: Shop) -> tuple[Buyer, str, str]:
    """Makes a user who has ordered, cancelled the order and deleted the account; gives the ids of the order and of
    a card."""
    buyer, lamp = shop.buyer(), shop.product()
    card = buyer.ok("GET", "/api/v1/payment-methods")["paymentMethods"][0]["id"]
    order = buyer.buy((lamp, 1, 1_200))["id"]
    buyer.post(f"/api/v1/orders/{order}:cancel")
    buyer.await_order(order, lambda now: now["status"] == "CANCELLED")
    buyer.delete_account()
    return buyer, order, card


def _status(api: Api, method: str, path: str, body: object) -> int:
    return api.request(method, path, **({} if body is None else {"json": body})).status_code


def _refused(api: Api, method: str, path: str, body: object) -> Callable[[], bool]:
    return lambda: _status(api, method, path, body) == 401


@pytest.mark.parametrize("path", ["/api/v1/payment-methods", "/api/v1/wallet:topUp"])
def test_the_refusal_says_why(shop: Shop, path: str) -> None:
    ghost, _, _ = _deleted(shop)
    body = CARD if path.endswith("methods") else {"amount": 5, "currency": "EUR", **CARD, "idempotencyKey": new_key()}
    until(_refused(ghost, "POST", path, body), 60, "it is refused")
    assert "deleted" in ghost.problem(401, "UNAUTHENTICATED", "POST", path, json=body)["detail"]
