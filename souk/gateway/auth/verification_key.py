"""Public keys that verify signatures of tokens, each pinned to its algorithms (RFC 8725, section 3.1)."""

from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

Key: TypeAlias = ECKey | RSAKey | OKPKey

ES256 = "ES256"
ALGORITHMS = MappingProxyType(
    {
        ES256: ("EC", "P-256"),
        "RS256": ("RSA", ""),
        "PS256": ("RSA", ""),
        "EdDSA": ("OKP", "Ed25519"),
        "Ed25519": ("OKP", "Ed25519"),
    }
)
"""The algorithms that may be allowed, with the kind and the curve of their keys. None takes a shared secret."""
_MEMBERS = {"EC": ("kty", "crv", "x", "y"), "RSA": ("kty", "n", "e"), "OKP": ("kty", "crv", "x")}
_CLASSES: Mapping[str, type[Key]] = {"EC": ECKey, "RSA": RSAKey, "OKP": OKPKey}
_RSA_BITS = range(2_048, 8_193)
"""RFC 7518 asks for at least 2,048 bits; the time of a verification grows with the square of their number."""
_SAME = {"Ed25519": "EdDSA"}  # RFC 9864 names the one that everybody means by EdDSA
_WRONG = (JoseError, ValueError, TypeError, KeyError, OverflowError)
"""What the readers of keys and signatures raise for what they cannot read."""


@dataclass(frozen=True, slots=True, eq=False)
class VerificationKey:
    """A public key, and the algorithms whose signatures it may verify."""

    key: Key
    algorithms: frozenset[str]

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Returns whether a signature by `algorithm` over `signed` is this key's, in the form that RFC 7518 gives."""
        if algorithm not in self.algorithms:
            return False
        try:
            return JWSRegistry.algorithms[_SAME.get(algorithm, algorithm)].verify(signed, signature, self.key)
        except _WRONG:
            return False


def imported(jwk: Mapping[str, Any], allowed: Iterable[str]) -> VerificationKey | None:
    """Imports a key that is meant to verify signatures by `allowed` algorithms (RFC 7517, section 4); else None."""
    uses = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(uses, list) or "verify" not in uses:
        return None
    kind, curve, own = jwk.get("kty"), jwk.get("crv", ""), jwk.get("alg")
    algorithms = frozenset(name for name in allowed if ALGORITHMS[name] == (kind, curve) and own in (None, "", name))
    if not algorithms or not isinstance(kind, str):
        return None
    try:
        if kind == "RSA" and _bits(jwk["n"]) not in _RSA_BITS:
            return None
        return VerificationKey(_CLASSES[kind].import_key({name: jwk[name] for name in _MEMBERS[kind]}), algorithms)
    except _WRONG:
        return None


def _bits(number: str) -> int:
    octets = urlsafe_b64decode(number + "=" * (-len(number) % 4))
    return int.from_bytes(octets, "big").bit_length()
