"""Signatures of the public Wycheproof vectors, verified as the gateway verifies those of tokens.

`wycheproof/` holds the vectors that apply: those of the algorithms that may be pinned. What they call `acceptable`
(keys of Ed25519 that no issuer makes, an old way to write an RSA signature) may be judged either way.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest

from souk.gateway.auth.verification_key import ALGORITHMS, imported

VECTORS = sorted((Path(__file__).parent / "wycheproof").glob("*.json"))


def _octets(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_every_vector_is_judged_as_it_says(path: Path) -> None:
    vectors: dict[str, Any] = json.loads(path.read_text())
    algorithm, judged, wrong = vectors["algorithm"], 0, []
    for group in vectors["groups"]:
        key = imported(group["key"], [algorithm])
        assert key is not None
        for number, comment, message, signature, result in group["tests"]:
            judged += 1
            if result != "acceptable" and key.verifies(algorithm, _octets(message), _octets(signature)) != (
                result == "valid"
            ):
                wrong.append((number, comment, result))
    assert wrong == []
    assert judged > 100


def test_there_are_vectors_of_every_algorithm() -> None:
    algorithms = {json.loads(path.read_text())["algorithm"] for path in VECTORS}
    assert algorithms == ALGORITHMS.keys() - {"EdDSA"}  # another name of Ed25519


def test_a_key_verifies_what_it_is_pinned_to_and_nothing_else() -> None:
    vectors = json.loads((VECTORS[0].parent / "ps256.json").read_text())
    jwk = vectors["groups"][0]["key"]
    _, _, message, signature, _ = next(one for one in vectors["groups"][0]["tests"] if one[4] == "valid")
    both, one = imported(jwk, ["RS256", "PS256"]), imported(jwk, ["RS256"])
    assert both is not None
    assert one is not None
    assert both.verifies("PS256", _octets(message), _octets(signature))
    assert not both.verifies("RS256", _octets(message), _octets(signature))
    assert not one.verifies("PS256", _octets(message), _octets(signature))
    assert not both.verifies("none", _octets(message), b"")
    assert not both.verifies("HS256", _octets(message), _octets(signature))
    assert imported({**jwk, "alg": "PS256"}, ["RS256"]) is None
    assert imported({"kty": "oct", "k": "c2VjcmV0"}, list(ALGORITHMS)) is None


@pytest.mark.parametrize("octets", [64, 128, 255, 1_025, 4_096])
def test_rsa_keys_are_neither_weak_nor_endless(octets: int) -> None:
    n = urlsafe_b64encode(b"\xff" * octets).rstrip(b"=").decode()
    assert imported({"kty": "RSA", "n": n, "e": "AQAB"}, ["RS256"]) is None


@pytest.mark.parametrize(
    "members",
    [
        {"crv": "P-384"},
        {"crv": "secp256k1"},
        {"x": "AA", "y": "AA"},
        {"y": "AAAA"},
        {"x": None},
    ],
)
def test_points_of_another_curve_are_no_keys(members: dict[str, Any]) -> None:
    jwk = json.loads((VECTORS[0].parent / "es256.json").read_text())["groups"][0]["key"]
    assert imported(jwk, ["ES256"]) is not None
    assert imported({**jwk, **members}, ["ES256"]) is None
