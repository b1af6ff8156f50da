"""Attacks on tokens that are known from other systems: each is answered with 401, by one text."""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from souk.gateway.settings import GatewaySettings
from souk.kernel.clock import MICROSECONDS

ME = "/api/v1/users/me"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of P-256's base point."""
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def segment(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def octets(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def refused(world: Any, token: str) -> None:
    response = await world.send("GET", ME, token=token)
    assert (response.status, response.json["detail"]) == (401, "the token is not valid"), response.body
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert world.services.count("GetMe") == 0


async def believed(world: Any, token: str) -> None:
    assert (await world.send("GET", ME, token=token)).status == 200


def signed(world: Any, head: bytes, payload: bytes, key: Any = None) -> str:
    """Signs any octets as header and payload, so that nothing but what they say can be wrong."""
    text = f"{segment(head)}.{segment(payload)}"
    model = jws.JWSRegistry.algorithms["ES256"]
    return f"{text}.{segment(model.sign(text.encode(), key or world.key))}"


def claims(world: Any, **other: Any) -> bytes:
    now = world.clock.now() // MICROSECONDS
    return json.dumps(
        {"iss": "https://issuer.test", "aud": "souk", "sub": "U-1", "exp": now + 900, "roles": [], **other}
    ).encode()


def head(**other: Any) -> bytes:
    return json.dumps({"alg": "ES256", "kid": "key-1", **other}).encode()


async def test_what_the_attacks_start_from_is_believed(world: Any) -> None:
    await believed(world, signed(world, head(), claims(world)))
    await believed(world, signed(world, head(typ="at+jwt"), claims(world)))
    await believed(world, signed(world, head(typ="JWT", x5t="AAAA"), claims(world)))


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "HS256", "ES384", "ES512", "ES256K", "EdDSA", "es256", "none"])
async def test_another_algorithm_over_a_good_signature(world: Any, algorithm: str) -> None:
    await refused(world, signed(world, head(alg=algorithm), claims(world)))


async def test_a_shared_secret_that_is_the_public_key(world: Any) -> None:
    public = world.key.as_dict(private=False)
    for secret in (world.key.as_pem(private=False), json.dumps(public).encode(), octets(public["x"])):
        text = f"{segment(head(alg='HS256'))}.{segment(claims(world))}"
        await refused(world, f"{text}.{segment(hmac.digest(secret, text.encode(), 'sha256'))}")


@pytest.mark.parametrize("curve", ["P-384", "P-521", "secp256k1"])
async def test_a_key_of_another_curve(world: Any, curve: str) -> None:
    own = ECKey.generate_key(curve, parameters={"kid": world.key.kid})
    await refused(world, signed(world, head(), claims(world), own))


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c"])
async def test_a_key_that_the_token_brings_or_points_to(world: Any, member: str, new_key: Any) -> None:
    own = new_key("key-1")
    brought = {
        "jwk": own.as_dict(private=False),
        "jku": "https://evil.test/jwks.json",
        "x5u": "https://evil.test/cert.pem",
        "x5c": [urlsafe_b64encode(own.as_der(private=False)).decode()],
    }
    await refused(world, signed(world, head(**{member: brought[member]}), claims(world), own))
    await refused(world, signed(world, head(kid="other", **{member: brought[member]}), claims(world), own))


@pytest.mark.parametrize(
    "kid", ["", None, 7, ["key-1"], "key-2", "../../dev/null", "key-1' OR '1'='1", "key-1\0", "KEY-1", "k" * 3_000]
)
async def test_a_kid_that_names_no_key(world: Any, kid: Any) -> None:
    await refused(world, signed(world, head(kid=kid), claims(world)))


async def test_a_header_without_kid(world: Any) -> None:
    await refused(world, signed(world, b'{"alg":"ES256"}', claims(world)))


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], None, "b64", ["alg", "kid"]])
async def test_members_that_must_be_understood(world: Any, crit: Any) -> None:
    await refused(world, signed(world, head(crit=crit, b64=False), claims(world)))


@pytest.mark.parametrize("kind", ["dpop+jwt", "logout+jwt", "secevent+jwt", "JWS", "", 7, None, ["JWT"]])
async def test_a_token_of_another_type(world: Any, kind: Any) -> None:
    await refused(world, signed(world, head(typ=kind), claims(world)))


@pytest.mark.parametrize(
    "other",
    [
        {"iss": "https://issuer.test/"},
        {"iss": "https://ISSUER.test"},
        {"iss": ["https://issuer.test"]},
        {"iss": "https://issuer.test.evil.test"},
        {"aud": "souk.evil.test"},
        {"aud": {"souk": True}},
        {"aud": [["souk"]]},
        {"nbf": 1_800_000_100},
        {"cnf": {"jkt": "AAAA"}},
        {"sub": "U-1\0"},
        {"sub": "U-1\nU-2"},
        {"sub": "U-\u202e1"},
        {"sub": "U" * 256},
    ],
    ids=str,
)
async def test_claims_of_somebody_else(world: Any, other: dict[str, Any]) -> None:
    await refused(world, signed(world, head(), claims(world, **other)))


@pytest.mark.parametrize("name", ["sub", "exp", "iss", "aud", "x"])
async def test_a_claim_that_occurs_twice(world: Any, name: str) -> None:
    text = claims(world, x=1).decode()
    value = json.dumps(json.loads(text)[name])
    await refused(world, signed(world, head(), f'{{"{name}":{value},{text[1:]}'.encode()))


@pytest.mark.parametrize("name", ["alg", "kid", "typ"])
async def test_a_header_that_occurs_twice(world: Any, name: str) -> None:
    text = head(typ="JWT").decode()
    value = json.dumps(json.loads(text)[name])
    await refused(world, signed(world, f'{{"{name}":{value},{text[1:]}'.encode(), claims(world)))


async def test_a_member_that_occurs_twice_far_below(world: Any) -> None:
    text = claims(world).decode()
    await refused(world, signed(world, head(), f'{{"x":[{{"a":1,"a":2}}],{text[1:]}'.encode()))


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("spoil", ["{}=", "{}==", "{} ", " {}", "{}\n", "{}+", "{}A", "{}AAAA", "A{}"])
async def test_text_beside_the_one_way_to_write_a_part(world: Any, part: int, spoil: str) -> None:
    parts = world.token().split(".")
    parts[part] = spoil.format(parts[part])
    response = await world.send("GET", ME, token=".".join(parts))
    # Spaces around the whole token are the Authorization header's, not the token's.
    edge = (part, spoil) in ((0, " {}"), (2, "{} "))
    assert response.status == (200 if edge else 401)


async def test_unused_bits_that_are_not_zero(world: Any) -> None:
    first, payload, signature = world.token().split(".")
    for bits in range(1, 16):  # 64 octets are 86 characters, of which the last has four unused bits
        last = ALPHABET[ALPHABET.index(signature[-1]) ^ bits]
        await refused(world, f"{first}.{payload}.{signature[:-1]}{last}")


async def test_zeros_and_other_edges_as_signature(world: Any) -> None:
    first, payload, _ = world.token().split(".")
    edges = [value.to_bytes(32, "big") for value in (0, 1, ORDER - 1, ORDER, ORDER + 1, 2**256 - 1)]
    for r in edges:
        for s in edges:
            await refused(world, f"{first}.{payload}.{segment(r + s)}")
    for wrong in (b"", b"\0", b"\0" * 63, b"\0" * 65, b"\0" * 1_000):
        await refused(world, f"{first}.{payload}.{segment(wrong)}")


async def test_a_signature_as_der(world: Any) -> None:
    first, payload, signature = world.token().split(".")
    raw = octets(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    await refused(world, f"{first}.{payload}.{segment(der)}")


async def test_the_twin_of_a_signature_says_the_same_and_no_more(world: Any) -> None:
    """ECDSA has two signatures for each: what a token may do hangs on its claims, never on its text."""
    first, payload, signature = world.token("U-7").split(".")
    raw = octets(signature)
    twin = raw[:32] + (ORDER - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    await believed(world, f"{first}.{payload}.{segment(twin)}")
    assert world.services.last[2].caller.subject == "U-7"


@pytest.mark.parametrize(
    "form", ["{0}..{2}", ".{1}.{2}", "{0}.{1}", "{0}.{1}.", "{0}.{1}.{2}.", "{0}.{1}.{2}.{2}", "."]
)
async def test_parts_that_are_missing_or_too_many(world: Any, form: str) -> None:
    await refused(world, form.format(*world.token().split(".")))


async def test_a_token_in_the_json_form(world: Any) -> None:
    first, payload, signature = world.token().split(".")
    text = json.dumps({"payload": payload, "protected": first, "signature": signature}, separators=(",", ":"))
    await refused(world, text)


async def test_an_endless_token_is_not_read(world: Any) -> None:
    await refused(world, signed(world, head(), claims(world, x="x" * 9_000)))
    await refused(world, signed(world, head(x="x" * 9_000), claims(world)))


async def test_a_jwt_that_is_signed_by_a_key_for_something_else(world: Any) -> None:
    """An RSA key under the kid of ours, published by nobody."""
    own = RSAKey.generate_key(2_048, parameters={"kid": "key-1"})
    token = jws.serialize_compact({"alg": "RS256", "kid": "key-1"}, claims(world), own, algorithms=["RS256"])
    await refused(world, token)


async def test_keys_are_not_used_for_ever_while_they_cannot_be_fetched(world: Any) -> None:
    settings = GatewaySettings()
    token = world.token(exp=world.clock.now() // MICROSECONDS + 100_000)
    await believed(world, token)
    world.services.refuse("ListSigningKeys", RuntimeError("away"))
    world.clock.advance(settings.jwks_stale - settings.jwks_age)
    await believed(world, token)
    world.clock.advance(settings.jwks_age)
    response = await world.send("GET", ME, token=token)
    assert (response.status, response.json["code"]) == (500, "INTERNAL")
    world.publish(world.key)
    world.clock.advance(settings.jwks_retry)
    await believed(world, token)


async def test_a_clock_that_jumps(world: Any) -> None:
    token = world.token()
    await believed(world, token)
    asked = world.services.count("ListSigningKeys")
    world.clock._now += 3_600 * MICROSECONDS
    response = await world.send("GET", ME, token=token)
    assert (response.status, response.json["detail"]) == (401, "the token has expired")
    world.clock._now -= 3_600 * MICROSECONDS
    await believed(world, token)
    world.clock._now -= 3_600 * MICROSECONDS
    await believed(world, token)
    assert world.services.count("ListSigningKeys") == asked  # the age of keys is not told by the date
