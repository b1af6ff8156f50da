"""Who is calling: what is believed, what is not, and how often the keys are asked for."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from cachetools import LRUCache
from joserfc.jwk import ECKey
from shop.user.v1 import user_pb2

from souk.gateway.settings import GatewaySettings
from souk.kernel.errors import DomainError

ME = "/api/v1/users/me"
MINUTE = 60


def _segment(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def _status(world: Any, token: str) -> int:
    response = await world.send("GET", ME, token=token)
    if response.status == 401:
        assert response.json["code"] == "UNAUTHENTICATED"
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert world.services.count("GetMe") == 0
    return response.status


async def test_a_valid_token_is_believed(world: Any) -> None:
    assert await _status(world, world.token(scope="read write")) == 200
    caller = world.services.last[2].caller
    assert (caller.subject, caller.roles, caller.scopes) == ("U-demo", {"customer"}, {"read", "write"})


async def test_an_audience_may_be_one_of_several(world: Any) -> None:
    assert await _status(world, world.token(aud=["other", "souk"])) == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://else.test"},
        {"iss": ...},
        {"aud": "else"},
        {"aud": []},
        {"aud": ...},
        {"exp": 1},
        {"exp": ...},
        {"exp": "never"},
        {"exp": True},
        {"sub": ...},
        {"sub": ""},
        {"sub": 7},
        {"nbf": 4_000_000_000},
        {"nbf": "x"},
    ],
)
async def test_claims_are_checked(world: Any, claims: dict[str, object]) -> None:
    assert await _status(world, world.token(**claims)) == 401


@pytest.mark.parametrize("value", ["", "x", "a.b", "a.b.c", "a.b.c.d", "....", "\xe9.b.c", "a" * 9000])
async def test_what_is_no_token_is_refused(world: Any, value: str) -> None:
    response = await world.send("GET", ME, headers=[("Authorization", f"Bearer {value}")])
    assert response.status == 401


@pytest.mark.parametrize("scheme", ["", "Basic", "Bearer"])
async def test_another_scheme_is_refused(world: Any, scheme: str) -> None:
    response = await world.send("GET", ME, headers=[("Authorization", f"{scheme}{world.token()}")])
    assert response.status == 401


async def test_two_authorizations_are_none(world: Any) -> None:
    sent = [("Authorization", f"Bearer {world.token()}")] * 2
    assert (await world.send("GET", ME, headers=sent)).status == 401


async def test_the_scheme_is_told_without_case(world: Any) -> None:
    sent = [("authorization", f"bearer  {world.token()}")]
    assert (await world.send("GET", ME, headers=sent)).status == 200


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
async def test_a_token_without_signature_is_refused(world: Any, algorithm: str) -> None:
    payload = world.token().split(".")[1]
    head = _segment({"alg": algorithm, "kid": world.key.kid})
    assert await _status(world, f"{head}.{payload}.") == 401


async def test_the_public_key_is_no_hmac_secret(world: Any) -> None:
    head, payload = _segment({"alg": "HS256", "kid": world.key.kid}), world.token().split(".")[1]
    for secret in (world.key.as_pem(private=False), json.dumps(world.key.as_dict(private=False)).encode()):
        mac = hmac.new(secret, f"{head}.{payload}".encode(), hashlib.sha256).digest()
        assert await _status(world, f"{head}.{payload}.{_segment(mac)}") == 401


@pytest.mark.parametrize(
    "header", [{"kid": ...}, {"kid": 7}, {"kid": ""}, {"crit": ["x"]}, {"alg": "ES384"}, {"alg": ["ES256"]}]
)
async def test_headers_are_checked(world: Any, header: dict[str, object]) -> None:
    _, payload, signature = world.token().split(".")
    made = {"alg": "ES256", "kid": world.key.kid, **header}
    head = _segment({name: value for name, value in made.items() if value is not ...})
    assert await _status(world, f"{head}.{payload}.{signature}") == 401


async def test_a_key_that_the_token_brings_is_not_used(world: Any, new_key: Callable[[str], ECKey]) -> None:
    own = new_key(world.key.kid)
    token = world.token(key=own, header={"jwk": own.as_dict(private=False)})
    assert await _status(world, token) == 401


async def test_a_changed_payload_is_refused_even_after_the_true_one(world: Any) -> None:
    token = world.token()
    assert await _status(world, token) == 200
    world.services.asked.clear()
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    forged = _segment({**claims, "sub": "U-admin"})
    assert await _status(world, f"{head}.{forged}.{signature}") == 401


async def test_expiry_is_checked_each_time(world: Any) -> None:
    token = world.token()
    assert await _status(world, token) == 200
    world.services.asked.clear()
    world.clock.advance(15 * MINUTE)
    assert await _status(world, token) == 401


async def test_unknown_keys_are_asked_for_once_in_a_while(world: Any, new_key: Callable[[str], ECKey]) -> None:
    tokens = [world.token(key=new_key(f"unknown-{number}")) for number in range(20)]
    assert await _status(world, world.token()) == 200
    world.clock.advance(GatewaySettings().jwks_refetch)
    before = world.services.count("ListSigningKeys")
    world.services.asked.clear()
    answers = await asyncio.gather(*(world.send("GET", ME, token=token) for token in tokens))
    assert {answer.status for answer in answers} == {401}
    assert (before, world.services.count("ListSigningKeys")) == (1, 1)


async def test_a_new_key_is_found(world: Any, new_key: Callable[[str], ECKey]) -> None:
    assert await _status(world, world.token()) == 200
    second = new_key("key-2")
    world.publish(world.key, second)
    world.services.asked.clear()
    assert await _status(world, world.token(key=second)) == 401
    world.clock.advance(GatewaySettings().jwks_refetch)
    assert await _status(world, world.token(key=second)) == 200


async def test_a_token_ends_with_its_key(world: Any, new_key: Callable[[str], ECKey]) -> None:
    token = world.token()
    assert await _status(world, token) == 200
    world.publish(new_key("key-2"))
    world.services.asked.clear()
    world.clock.advance(GatewaySettings().jwks_age)
    assert await _status(world, token) == 401


async def test_a_token_ends_when_its_kid_means_another_key(world: Any, new_key: Callable[[str], ECKey]) -> None:
    token = world.token()
    assert await _status(world, token) == 200
    world.publish(new_key(world.key.kid))
    world.services.asked.clear()
    world.clock.advance(GatewaySettings().jwks_age)
    assert await _status(world, token) == 401


async def test_keys_stay_while_they_cannot_be_fetched(world: Any) -> None:
    token = world.token()
    assert await _status(world, token) == 200
    world.services.refuse("ListSigningKeys", RuntimeError("away"))
    world.clock.advance(GatewaySettings().jwks_age)
    assert await _status(world, token) == 200


async def test_a_signer_that_hangs_holds_up_one_request_alone(world: Any) -> None:
    token, hangs, go_on = world.token(), asyncio.Event(), asyncio.Event()
    assert await _status(world, token) == 200

    async def hang(_: object) -> Any:
        hangs.set()
        await go_on.wait()
        raise RuntimeError("away")

    world.services.behaviours["ListSigningKeys"] = hang
    world.clock.advance(GatewaySettings().jwks_age)
    first = asyncio.create_task(world.send("GET", ME, token=token))
    await asyncio.wait_for(hangs.wait(), 30)
    assert (await asyncio.wait_for(world.send("GET", ME, token=token), 30)).status == 200
    go_on.set()
    assert (await first).status == 200


async def test_without_any_key_the_answer_is_not_401(world: Any) -> None:
    world.services.refuse("ListSigningKeys", RuntimeError("away"))
    response = await world.send("GET", ME, token=world.token())
    assert (response.status, response.json["code"]) == (500, "INTERNAL")
    world.publish(world.key)
    world.clock.advance(GatewaySettings().jwks_retry)
    assert await _status(world, world.token()) == 200


async def test_keys_of_another_kind_are_passed_over(world: Any) -> None:
    wrong = [{"kty": "oct", "kid": world.key.kid}, {"kty": "EC", "crv": "P-384", "kid": world.key.kid}]
    wrong += [{"kty": "EC", "crv": "P-256", "kid": world.key.kid, "x": "AA", "y": "AA", "alg": "ES256", "use": "sig"}]
    world.services.answer("ListSigningKeys", user_pb2.SigningKeys(keys=[user_pb2.SigningKey(**key) for key in wrong]))
    assert await _status(world, world.token()) == 401


async def test_the_cache_is_bounded(world: Any) -> None:
    cache = world.gateway.identity._tokens._verified = LRUCache(3)
    for number in range(3):
        assert await _status(world, world.token(f"U-{number}")) == 200
    assert len(cache) == 3
    assert await _status(world, world.token("U-9")) == 200
    assert len(cache) == 3


async def test_roles_are_asked_for_anew(world: Any) -> None:
    token = world.token("U-admin", roles=["admin"])
    world.services.answer("GetRoles", user_pb2.Roles(roles=["customer"]))
    refused = await world.send("DELETE", "/api/v1/products/P-1", token=token)
    assert (refused.status, refused.json["code"]) == (403, "FORBIDDEN")
    assert world.services.count("DeleteProduct") == 0
    world.services.answer("GetRoles", user_pb2.Roles(roles=["admin"]))
    response = await world.send("DELETE", "/api/v1/products/P-1", token=token)
    assert response.status == 204
    asked = [context for name, _, context in world.services.asked if name == "GetRoles"]
    assert asked[-1].traceparent.split("-")[1] == response.headers["traceparent"].split("-")[1]
    assert world.services.last[2].caller.roles == {"admin"}


async def test_who_is_no_more_may_nothing(world: Any) -> None:
    world.services.refuse("GetRoles", DomainError("USER_NOT_FOUND", "no such user"))
    response = await world.send("DELETE", "/api/v1/products/P-1", token=world.token(roles=["admin"]))
    assert (response.status, response.json["code"]) == (403, "FORBIDDEN")


async def test_a_public_method_does_not_look_at_tokens(world: Any) -> None:
    assert (await world.send("GET", "/api/v1/products/P-1", token="expired.or.wrong")).status == 200
    assert world.services.last[2].caller.subject == ""
