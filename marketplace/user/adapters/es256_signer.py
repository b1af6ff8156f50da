"""ES256 keys and tokens with joserfc (RFC 7515, 7517, 7519)."""

import json
import secrets
from collections.abc import Iterable

from joserfc import jwt
from joserfc.jwk import ECKey

from marketplace.user.domain.signing import SigningKey

ALGORITHM = "ES256"
CURVE = "P-256"


class Es256Signer:
    """Makes keys and signs claims. Keys are parsed once, and kept until `keep_only` is called without them."""

    def __init__(self) -> None:
        self._parsed: dict[str, ECKey] = {}

    def make_key(self, signs_from: int) -> SigningKey:
        """Makes a new key that signs from the given time on, in microseconds."""
        kid = secrets.token_hex(8)
        jwk = ECKey.generate_key(CURVE).as_dict(private=True)
        return SigningKey(kid, json.dumps(jwk), signs_from)

    def keep_only(self, keys: Iterable[SigningKey]) -> None:
        """Forgets all other private keys."""
        kept = {key.kid for key in keys}
        self._parsed = {kid: parsed for kid, parsed in self._parsed.items() if kid in kept}

    def public(self, key: SigningKey) -> dict[str, str]:
        """Returns the public half of a key as a JSON Web Key (RFC 7517)."""
        jwk = self._key(key).as_dict(private=False)
        members = {name: str(jwk[name]) for name in ("kty", "crv", "x", "y")}
        return {**members, "kid": key.kid, "use": "sig", "alg": ALGORITHM}

    def sign(self, claims: dict[str, object], key: SigningKey) -> str:
        """Signs the claims and returns a JSON Web Token (RFC 7519)."""
        header = {"alg": ALGORITHM, "typ": "JWT", "kid": key.kid}
        return jwt.encode(header, claims, self._key(key), algorithms=[ALGORITHM])

    def _key(self, key: SigningKey) -> ECKey:
        if key.kid not in self._parsed:
            self._parsed[key.kid] = ECKey.import_key(json.loads(key.private_jwk))
        return self._parsed[key.kid]
