"""A program that calls with an API key, from making the key to its end."""

import httpx

from souk.testing.system import until
from tests.market.api import Api, wish
from tests.market.shop import PASSWORD, Shop

API_KEYS, ME, ADDRESSES = "/api/v1/api-keys", "/api/v1/users/me", "/api/v1/addresses"


def test_a_key_from_making_to_revoking(shop: Shop) -> None:
    buyer = shop.buyer()
    wanted = {"name": "till", "scopes": ["user:read", "order:read"], "currentPassword": PASSWORD}
    made = buyer.ok("POST", API_KEYS, 201, json=wanted)
    for headers in ({"x-api-key": made["key"]}, {"authorization": f"Bearer {made['key']}"}):
        with Api(shop.url) as till:
            till.headers.update(headers)
            assert till.ok("GET", ME)["id"] == buyer.ok("GET", ME)["id"]
            till.ok("GET", "/api/v1/orders")
            till.problem(403, "FORBIDDEN", "PATCH", ME, json={"name": "Till"})
            till.problem(403, "FORBIDDEN", "POST", API_KEYS, json=wanted)
            till.problem(403, "FORBIDDEN", "DELETE", ME, json={"currentPassword": PASSWORD})
    (known,) = buyer.ok("GET", API_KEYS)["apiKeys"]
    assert known["lastUsedAt"] >= known["createdAt"] == made["apiKey"]["createdAt"]
    assert "key" not in known
    buyer.ok("DELETE", f"{API_KEYS}/{known['id']}", 204)
    assert buyer.ok("GET", API_KEYS)["apiKeys"] == []
    with Api(shop.url) as till:
        till.headers["x-api-key"] = made["key"]
        until(lambda: till.get(ME).status_code == 401, 60, "the gateway knows that the key is revoked")
    logs = "".join(path.read_text() for path in (shop.data.parent / "logs").iterdir())
    assert made["key"].split("_", 2)[2] not in logs


def test_a_key_is_made_with_the_password_alone(shop: Shop) -> None:
    buyer = shop.buyer()
    wanted = {"name": "till", "scopes": ["user:read"]}
    buyer.problem(401, "BAD_CREDENTIALS", "POST", API_KEYS, json={**wanted, "currentPassword": "a wrong guess"})
    buyer.invalid("scopes", "POST", API_KEYS, json={"name": "till", "currentPassword": PASSWORD})
    assert buyer.ok("GET", API_KEYS)["apiKeys"] == []


def test_a_client_buys_with_a_token_for_its_key(shop: Shop) -> None:
    buyer, lamp = shop.buyer(), shop.product(stock=5, price=100)
    wanted = {"name": "till", "scopes": ["order:write", "order:read"], "currentPassword": PASSWORD}
    made = buyer.ok("POST", API_KEYS, 201, json=wanted)
    client = (made["apiKey"]["id"], made["key"])
    with httpx.Client(base_url=shop.url, timeout=60) as oauth:
        given = oauth.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=client)
        assert given.status_code == 200, given.text
        token = given.json()
        assert (token["token_type"], token["scope"]) == ("Bearer", "order:read order:write")
        less = {"grant_type": "client_credentials", "scope": "order:read"}
        reader = oauth.post("/oauth/token", data=less, auth=client).json()["access_token"]
        refused = oauth.post("/oauth/token", data=less, auth=(client[0], client[1] + "x"))
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    with Api(shop.url, token["access_token"]) as till:
        order = till.ok("POST", "/api/v1/orders", 201, json=wish((lamp, 1, 100), address=buyer.home))
        till.problem(403, "FORBIDDEN", "GET", ME)
    assert buyer.ok("GET", f"/api/v1/orders/{order['id']}")["status"] == "CONFIRMED"
    with Api(shop.url, reader) as till:
        till.ok("GET", f"/api/v1/orders/{order['id']}")
        till.problem(403, "FORBIDDEN", "POST", f"/api/v1/orders/{order['id']}:cancel")
