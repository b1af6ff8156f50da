"""Accounts: registered, proved, changed and erased."""

import sqlite3
from contextlib import closing

import pytest

from souk.testing.system import until
from tests.market.api import Api, new_key
from tests.market.shop import HOME, PASSWORD, Shop, browser

TOKEN, ME = "/api/v1/auth/token", "/api/v1/users/me"
SUBSCRIPTIONS = "/api/v1/push-subscriptions"


def test_registration_and_login(shop: Shop) -> None:
    email = f"New.Buyer-{new_key()}@Souk.Test"
    body = {"email": email, "password": PASSWORD, "name": "New Buyer"}
    response = shop.anyone.post("/api/v1/users", json=body)
    assert response.status_code == 201, response.text
    user = response.json()
    assert user.keys() == {"id", "email", "name", "roles", "createdAt", "locale", "unsubscribed"}
    assert (user["locale"], user["unsubscribed"]) == ("en", False)
    assert (user["name"], user["roles"]) == ("New Buyer", ["customer"])
    assert response.headers["location"] == ME
    shop.anyone.problem(409, "EMAIL_TAKEN", "POST", "/api/v1/users", json={**body, "email": email.lower()})

    response = shop.anyone.post(TOKEN, json={"email": email.upper(), "password": PASSWORD})
    token = response.json()
    assert token.keys() == {"accessToken", "refreshToken", "tokenType", "expiresIn"}
    assert (token["tokenType"], token["expiresIn"]) == ("Bearer", 900)
    assert response.headers["cache-control"] == "no-store"
    with Api(shop.url, token["accessToken"]) as api:
        assert api.ok("GET", ME) == user
        assert api.ok("PATCH", ME, json={"name": "Renamed"})["name"] == "Renamed"
        wishes = {"locale": "ar-EG", "unsubscribed": True, "phone": "+4915112345678"}
        assert wishes.items() <= api.ok("PATCH", ME, json=wishes).items()
        assert "phone" not in api.ok("PATCH", ME, json={"phone": ""})
        taken = {"email": "demo@souk.test", "currentPassword": PASSWORD}
        api.problem(409, "EMAIL_TAKEN", "PATCH", ME, json=taken)


def test_a_browser_is_subscribed_as_it_gives_itself(shop: Shop) -> None:
    shop.anyone.problem(404, "PUSH_NOT_OFFERED", "GET", "/api/v1/push-key")
    given, buyer = browser(), shop.stranger()
    made = buyer.ok("POST", SUBSCRIPTIONS, 201, json=given)
    assert made.keys() == {"id", "service", "createdAt"}
    assert buyer.ok("GET", SUBSCRIPTIONS)["pushSubscriptions"] == [made]
    buyer.invalid("endpoint", "POST", SUBSCRIPTIONS, json={**given, "endpoint": "http://x.example"})
    assert buyer.delete(f"{SUBSCRIPTIONS}/{made['id']}").status_code == 204
    assert buyer.ok("GET", SUBSCRIPTIONS)["pushSubscriptions"] == []


def test_bad_credentials(shop: Shop) -> None:
    unknown = {"email": "nobody@souk.test", "password": PASSWORD}
    wrong = {"email": "demo@souk.test", "password": "not the password"}
    said = [shop.anyone.problem(401, "BAD_CREDENTIALS", "POST", TOKEN, json=body) for body in (unknown, wrong)]
    assert said[0]["detail"] == said[1]["detail"]
    for body in ({}, {"email": "demo@souk.test"}, {**wrong, "refreshToken": "both"}):
        shop.anyone.problem(400, "INVALID_REQUEST", "POST", TOKEN, json=body)


def test_guessing_is_throttled_for_one_account(shop: Shop) -> None:
    buyer = shop.stranger()
    guess = {"email": buyer.email, "password": "a wrong password"}
    statuses = [shop.anyone.post(TOKEN, json=guess).status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    right = {"email": buyer.email, "password": PASSWORD}
    assert shop.anyone.post(TOKEN, json=right).status_code == 429
    shop.stranger()  # others log in


def test_refresh_tokens_rotate(shop: Shop) -> None:
    buyer = shop.stranger()
    first = shop.anyone.ok("POST", TOKEN, json={"refreshToken": buyer.refresh})
    assert first["refreshToken"] != buyer.refresh
    # The one before, at once: two tabs of one browser get the same successor.
    assert shop.anyone.ok("POST", TOKEN, json={"refreshToken": buyer.refresh})["refreshToken"] == first["refreshToken"]
    second = shop.anyone.ok("POST", TOKEN, json={"refreshToken": first["refreshToken"]})
    # One that is older was stolen: the whole family ends.
    shop.anyone.problem(401, "BAD_CREDENTIALS", "POST", TOKEN, json={"refreshToken": buyer.refresh})
    shop.anyone.problem(401, "BAD_CREDENTIALS", "POST", TOKEN, json={"refreshToken": second["refreshToken"]})
    shop.anyone.problem(401, "BAD_CREDENTIALS", "POST", TOKEN, json={"refreshToken": "garbage"})


def test_logout_ends_one_login(shop: Shop) -> None:
    buyer = shop.stranger()
    other = shop.anyone.ok("POST", TOKEN, json={"email": buyer.email, "password": PASSWORD})
    buyer.ok("POST", "/api/v1/auth/logout", 204, json={"refreshToken": buyer.refresh})
    shop.anyone.problem(401, "BAD_CREDENTIALS", "POST", TOKEN, json={"refreshToken": buyer.refresh})
    shop.anyone.ok("POST", TOKEN, json={"refreshToken": other["refreshToken"]})


def test_a_changed_password_ends_every_login(shop: Shop) -> None:
    buyer, change = shop.stranger(), "/api/v1/users/me:changePassword"
    body = {"currentPassword": PASSWORD, "newPassword": "another password"}
    buyer.problem(401, "BAD_CREDENTIALS", "POST", change, json={**body, "currentPassword": "not the password"})
    buyer.invalid("newPassword", "POST", change, json={**body, "newPassword": "short"})
    buyer.ok("POST", change, 204, json=body)
    shop.anyone.problem(401, "BAD_CREDENTIALS", "POST", TOKEN, json={"refreshToken": buyer.refresh})
    shop.anyone.problem(401, "BAD_CREDENTIALS", "POST", TOKEN, json={"email": buyer.email, "password": PASSWORD})
    shop.anyone.ok("POST", TOKEN, json={"email": buyer.email, "password": "another password"})


def test_a_deleted_account_leaves_no_personal_data(shop: Shop) -> None:
    lamp, buyer = shop.product(), shop.buyer()
    secret = f"Kasbah {new_key()}"
    home = buyer.ok("POST", "/api/v1/addresses", 201, json={**HOME, "line1": secret})
    body = {**buyer.wish((lamp, 1, 1_200)), "shippingAddressId": home["id"]}
    order = buyer.ok("POST", "/api/v1/orders", 201, json=body)
    shop.mailbox.await_letter(order["id"], "confirmed")
    proof = {"currentPassword": buyer.password}
    buyer.problem(409, "ORDERS_OPEN", "DELETE", ME, json=proof)
    shop.admin.ok("POST", f"/api/v1/orders/{order['id']}:ship")
    top_up = {"amount": 500, "currency": "EUR", "cardToken": "tok_visa", "idempotencyKey": new_key()}
    buyer.ok("POST", "/api/v1/wallet:topUp", json=top_up)
    buyer.problem(409, "BALANCE_LEFT", "DELETE", ME, json=proof)
    assert buyer.ok("GET", ME)["email"] == buyer.email
    buyer.delete_account(forfeitBalance=True)
    shop.anyone.problem(401, "BAD_CREDENTIALS", "POST", TOKEN, json={"email": buyer.email, "password": PASSWORD})
    shop.anyone.problem(401, "BAD_CREDENTIALS", "POST", TOKEN, json={"refreshToken": buyer.refresh})
    buyer.problem(404, "USER_NOT_FOUND", "GET", ME)
    until(lambda: not _found(shop, secret) and not _found(shop, buyer.email), 60, "all of it is erased")


def _found(shop: Shop, text: str) -> list[str]:
    """Gives the tables that still contain a text."""
    found = []
    for path in shop.data.glob("*.db"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            for name in names:
                rows = connection.execute(f'SELECT * FROM "{name}"')
                if any(text.encode() in _bytes(value) for row in rows for value in row):
                    found.append(f"{path.name}: {name}")
    return found


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def test_addresses(shop: Shop) -> None:
    buyer = shop.stranger()
    response = buyer.post("/api/v1/addresses", json={**HOME, "line2": "2nd floor", "phone": "+49 40 123"})
    saved = response.json()
    path = f"/api/v1/addresses/{saved['id']}"
    assert (response.status_code, response.headers["location"]) == (201, path)
    assert saved == {**HOME, "line2": "2nd floor", "phone": "+49 40 123", "id": saved["id"]}
    assert buyer.ok("GET", path) == saved
    changed = buyer.ok("PATCH", path, json={"city": "Bremen"})
    assert changed == {**saved, "city": "Bremen"}
    assert buyer.ok("GET", "/api/v1/addresses")["addresses"] == [changed]
    buyer.invalid("country", "PATCH", path, json={"country": "Germany"})
    buyer.ok("DELETE", path, 204)
    buyer.problem(404, "ADDRESS_NOT_FOUND", "GET", path)
    buyer.problem(404, "ADDRESS_NOT_FOUND", "DELETE", path)


def test_payment_methods(shop: Shop) -> None:
    buyer, path = shop.stranger(), "/api/v1/payment-methods"
    first = buyer.save_card("tok_visa")
    assert first == {"id": first["id"], "brand": "visa", "last4": "4242", "isDefault": True}
    second = buyer.save_card("tok_slow")
    assert second["isDefault"] is False
    third = buyer.save_card("tok_declined", isDefault=True)
    listed = {method["id"]: method["isDefault"] for method in buyer.ok("GET", path)["paymentMethods"]}
    assert listed == {first["id"]: False, second["id"]: False, third["id"]: True}
    buyer.ok("DELETE", f"{path}/{third['id']}", 204)
    buyer.problem(404, "PAYMENT_METHOD_NOT_FOUND", "DELETE", f"{path}/{third['id']}")
    assert [method["isDefault"] for method in buyer.ok("GET", path)["paymentMethods"]].count(True) == 1


@pytest.mark.parametrize(
    "number", ["4111111111111111", "4111 1111 1111 1111", "tok_4111111111111111", "tok_unknown", ""]
)
def test_only_a_token_is_saved(shop: Shop, number: str) -> None:
    document = shop.demo.invalid("cardToken", "POST", "/api/v1/payment-methods", json={"cardToken": number})
    assert "4111" not in str({**document, "requestId": "which may hold any digits"})
    assert _found(shop, "4111111111111111") == []
