"""Tokens that are signed well and say nonsense: 401 each, never an error on this side."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jws

from souk.gateway.auth.jwks import SigningKeys
from souk.gateway.settings import GatewaySettings
from souk.kernel.clock import MICROSECONDS
from souk.testing.clocks import FakeClock
from tests.properties import examples

ME = "/api/v1/users/me"
RELAXED = settings(
    max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
DEEP = 2_500
NUMBERS = st.integers() | st.integers(min_value=10**300, max_value=10**400) | st.floats()
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
CLAIMS = st.dictionaries(st.sampled_from(["iss", "aud", "sub", "exp", "nbf", "iat", "roles", "scope", "sid"]), JSON)
HEADERS = st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "zip", "x"]), JSON)


def signed(world: Any, payload: bytes, header: dict[str, Any] | None = None) -> str:
    protected = {"alg": "ES256", "kid": world.key.kid, **(header or {})}
    return jws.serialize_compact(protected, payload, world.key, algorithms=["ES256"])


def claims(world: Any, **other: str) -> bytes:
    """Makes valid claims, changed by those that are given as JSON."""
    now = world.clock.now() // MICROSECONDS
    good = {"iss": '"https://issuer.test"', "aud": '"souk"', "sub": '"U-1"', "exp": str(now + 900), "roles": "[]"}
    return ("{" + ",".join(f'"{name}":{text}' for name, text in (good | other).items()) + "}").encode()


async def asked(world: Any, token: str) -> int:
    response = await world.send("GET", ME, token=token)
    if response.status == 401:
        assert response.json["code"] == "UNAUTHENTICATED"
        assert 'error="invalid_token"' in response.headers["www-authenticate"]
    return int(response.status)


async def test_the_claims_that_the_others_start_from_are_good(world: Any) -> None:
    assert await asked(world, signed(world, claims(world))) == 200


@pytest.mark.parametrize(
    "other",
    [
        {"exp": "9" * 400},
        {"exp": "-" + "9" * 400},
        {"exp": "9" * 5_000},
        {"exp": "1e400"},
        {"exp": "NaN"},
        {"exp": "true"},
        {"exp": "[]"},
        {"nbf": "9" * 400},
        {"sub": r'"\ud800"'},
        {"sub": r'"a\udfffb"'},
        {"sub": "7"},
        {"sub": '""'},
        {"sub": "[" * DEEP + "]" * DEEP},
        {"x": "[" * DEEP + "]" * DEEP},
        {"x": '{"a":' * DEEP + "1" + "}" * DEEP},
        {"aud": "[" * 900 + "]" * 900},
        {"iss": "null"},
        {"sid": r'"\ud800"'},
        {"roles": r'["\ud800"]'},
    ],
    ids=lambda other: "-".join(f"{name}={text[:10]}" for name, text in other.items()),
)
async def test_a_claim_that_nobody_can_read_is_401(world: Any, other: dict[str, str]) -> None:
    assert await asked(world, signed(world, claims(world, **other))) == 401


@pytest.mark.parametrize("payload", [b"", b"7", b"null", b"[]", b'"x"', b"\xff\xfe", b"{", b'{"exp":1}', b"[" * DEEP])
async def test_a_payload_that_is_no_object_is_401(world: Any, payload: bytes) -> None:
    assert await asked(world, signed(world, payload)) == 401


@pytest.mark.parametrize(
    "head", ["[" * 990 + "]" * 990, '{"alg":"ES256","kid":"key-1","x":' + "[" * 990 + "]" * 990 + "}", "7", "{", ""]
)
async def test_a_header_that_nobody_can_read_is_401(world: Any, head: str) -> None:
    payload = signed(world, claims(world)).split(".")[1]
    first = urlsafe_b64encode(head.encode()).rstrip(b"=").decode()
    assert await asked(world, f"{first}.{payload}.AAAA") == 401


@given(CLAIMS)
@RELAXED
async def test_whatever_a_signed_token_claims(world: Any, other: dict[str, Any]) -> None:
    payload = claims(world, **{name: json.dumps(value) for name, value in other.items()})
    assert await asked(world, signed(world, payload)) in (200, 401)


@given(HEADERS)
@RELAXED
async def test_whatever_a_header_says(world: Any, header: dict[str, Any]) -> None:
    _, payload, signature = signed(world, claims(world)).split(".")
    text = json.dumps({"alg": "ES256", "kid": world.key.kid, **header})
    first = urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
    assert await asked(world, f"{first}.{payload}.{signature}") in (200, 401)


@given(st.binary(max_size=60))
@RELAXED
async def test_whatever_is_signed(world: Any, payload: bytes) -> None:
    assert await asked(world, signed(world, payload)) == 401


@pytest.mark.parametrize(
    ("members", "believed"),
    [
        ({}, True),
        ({"key_ops": ["verify"]}, True),
        ({"key_ops": ["sign", "verify"], "use": "sig"}, True),
        ({"key_ops": ["sign"]}, False),
        ({"key_ops": []}, False),
        ({"key_ops": None}, False),
        ({"key_ops": 7}, False),
        ({"use": "enc"}, False),
        ({"x": 7}, False),
        ({"kid": ["key-1"]}, False),
        ({"kid": ""}, False),
    ],
    ids=str,
)
async def test_a_key_is_used_only_for_what_it_is_published_for(
    new_key: Any, members: dict[str, Any], believed: bool
) -> None:
    jwk = {**new_key("key-1").as_dict(private=False), "kid": "key-1", **members}

    async def fetch() -> dict[str, Any]:
        return {"keys": [jwk]}

    keys = SigningKeys(fetch, GatewaySettings(), FakeClock())
    assert (await keys.find("key-1") is not None) is believed
