"""API keys at the gateway: whom it asks, for how long it believes the answer, and what a key may call."""

import hashlib
from typing import Any

import pytest
from shop.user.v1 import user_pb2 as pb

from marketplace.app.app import app
from souk.descriptors.contract import Access, RateClass, contract_of
from souk.gateway.settings import GatewaySettings
from souk.kernel.errors import DomainError

KEY = f"souk_{'0' * 15}1_{'A' * 43}"
ME, ORDERS, PRODUCT = "/api/v1/users/me", "/api/v1/orders", "/api/v1/products/P-1"
METHODS = [method for service in app.services for method in contract_of(service.contract).methods.values()]


def owned(world: Any, *scopes: str, user: str = "U-1") -> None:
    world.services.answer("AuthenticateApiKey", pb.ApiKeyOwner(user_id=user, scopes=scopes))


def gone(world: Any) -> None:
    world.services.refuse("AuthenticateApiKey", DomainError("API_KEY_NOT_FOUND", "the API key does not exist"))


async def ask(world: Any, key: str = KEY, method: str = "GET", target: str = ME, header: str = "X-API-Key") -> Any:
    return await world.send(method, target, headers=[(header, key)])


@pytest.mark.parametrize(("header", "form"), [("X-API-Key", "{}"), ("Authorization", "Bearer {}")])
async def test_a_key_is_its_owner_with_its_scopes(world: Any, header: str, form: str) -> None:
    owned(world, "user:read")
    assert (await ask(world, form.format(KEY), header=header)).status == 200
    name, request, _ = world.services.asked[0]
    assert (name, request.id) == ("AuthenticateApiKey", KEY[5:21])
    assert request.digest == hashlib.sha256(KEY.encode()).digest()
    caller = world.services.last[2].caller
    assert (caller.subject, caller.scopes, caller.session) == ("U-1", {"user:read"}, "")


async def test_it_is_asked_for_once_in_some_seconds_and_then_revoked(world: Any) -> None:
    owned(world, "user:read")
    for _ in range(5):
        assert (await ask(world)).status == 200
    assert world.services.count("AuthenticateApiKey") == 1
    gone(world)
    world.clock.advance(GatewaySettings().api_key_age)
    refused = await ask(world)
    assert (refused.status, refused.json["detail"]) == (401, "the API key is not valid")
    assert refused.headers["www-authenticate"].startswith("Bearer")


async def test_a_wrong_key_is_asked_for_once_as_well(world: Any) -> None:
    gone(world)
    for _ in range(5):
        assert (await ask(world)).status == 401
    assert world.services.count("AuthenticateApiKey") == 1
    owned(world, "user:read")
    world.clock.advance(GatewaySettings().api_key_age)
    assert (await ask(world)).status == 200


async def test_a_key_that_cannot_be_asked_for_is_not_called_wrong(world: Any) -> None:
    world.services.refuse("AuthenticateApiKey", RuntimeError("away"))
    assert (await ask(world)).status == 500
    owned(world, "user:read")
    assert (await ask(world)).status == 200


@pytest.mark.parametrize(
    "key",
    [
        "souk_",
        KEY[:-1],
        KEY + "A",
        KEY + "\n",
        KEY.upper(),
        KEY.replace("souk", "Souk"),
        f"souk_{'g' * 16}_{'A' * 43}",
        f"souk_{'0' * 16}_" + "\xe9" * 43,
        "x",
        "a.b.c",
        "s" * 9_000,
    ],
    ids=lambda key: repr(key[:24]),
)
async def test_what_is_no_key_asks_nobody(world: Any, key: str) -> None:
    assert (await ask(world, key)).status == 401
    assert world.services.count("AuthenticateApiKey") == 0


async def test_two_credentials_are_none(world: Any) -> None:
    owned(world, "user:read")
    sent = [("X-API-Key", KEY), ("Authorization", f"Bearer {world.token()}")]
    assert (await world.send("GET", ME, headers=sent)).status == 401
    assert (await world.send("GET", ME, headers=[("X-API-Key", KEY)] * 2)).status == 401
    assert world.services.asked == []


async def test_a_key_calls_what_its_scopes_name_and_nothing_else(world: Any) -> None:
    world.services.answer("GetRoles", pb.Roles(roles=["admin"]))
    calls = {"user:read": ("GET", ME), "user:write": ("PATCH", ME), "order:read": ("GET", ORDERS)}
    calls["product:admin"] = ("DELETE", PRODUCT)
    for number, scope in enumerate(calls):
        key = f"souk_{number:016x}_{'B' * 43}"
        owned(world, scope)
        for other, (method, target) in calls.items():
            response = await world.send(
                method, target, {"name": "M"} if method == "PATCH" else b"", headers=[("X-API-Key", key)]
            )
            assert (response.status == 403) is (other != scope), (scope, other, response.body)


async def test_a_role_is_needed_beside_the_scope(world: Any) -> None:
    owned(world, "product:admin")
    world.services.answer("GetRoles", pb.Roles(roles=["customer"]))
    assert (await ask(world, method="DELETE", target=PRODUCT)).status == 403
    assert world.services.count("DeleteProduct") == 0


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("POST", "/api/v1/api-keys", {"name": "x", "scopes": ["user:write"], "currentPassword": "x"}),
        ("POST", f"{ME}:changePassword", {"currentPassword": "x", "newPassword": "correct horse"}),
        ("DELETE", ME, {"currentPassword": "x"}),
    ],
)
async def test_no_key_does_what_only_people_do(world: Any, method: str, target: str, body: dict[str, Any]) -> None:
    owned(world, *{method.policy.scope for method in METHODS})
    response = await world.send(method, target, body, headers=[("X-API-Key", KEY)])
    assert (response.status, response.json["code"]) == (403, "FORBIDDEN")


def test_every_method_for_callers_has_a_scope_but_the_sensitive_ones() -> None:
    for method in METHODS:
        policy = method.policy
        if policy.access is not Access.CALLER or policy.rate_class is RateClass.SENSITIVE:
            assert policy.scope == ""
        else:
            kind = "admin" if policy.roles else "read" if method.read_only else "write"
            assert policy.scope == f"{method.service}:{kind}"
