"""Proof to push services of who sends (VAPID, RFC 8292): a JWT signed with ES256 for each push service."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cachetools import LRUCache
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from marketplace.notification.adapters.web_push_encryption import point_of
from souk.sdk import MICROSECONDS, Clock, ConfigurationError

LIFETIME = 12 * 3_600
"""How long a token is good, in seconds; push services take at most 24 hours. It is used for half of that."""
_ORIGINS = 64


class Vapid:
    """Signs tokens with one key, which browsers were given when they subscribed.

    `subject` is where the push service can reach the sender, as in mailto:ops@shop.example.
    """

    def __init__(self, key: EllipticCurvePrivateKey, subject: str, clock: Clock) -> None:
        self._key, self._subject, self._clock = key, subject, clock
        self._made: LRUCache[str, tuple[str, int]] = LRUCache(_ORIGINS)

    @property
    def public_key(self) -> str:
        """The public key as browsers take it (`applicationServerKey`)."""
        return base64url(point_of(self._key))

    def authorization(self, origin: str) -> str:
        """Returns the header Authorization for the push service of this origin, such as https://push.example."""
        now = self._clock.now() // MICROSECONDS
        token, expires = self._made.get(origin, ("", 0))
        if expires - now < LIFETIME // 2:
            expires = now + LIFETIME
            token = self._signed({"aud": origin, "exp": expires, "sub": self._subject})
            self._made[origin] = (token, expires)
        return f"vapid t={token}, k={self.public_key}"

    def forget(self, origin: str) -> None:
        """Makes a new token next time, as this one was refused."""
        self._made.pop(origin, None)

    def _signed(self, claims: dict[str, str | int]) -> str:
        head = {"typ": "JWT", "alg": "ES256"}
        signed = ".".join(base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ECDSA(hashes.SHA256())))
        return f"{signed}.{base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def read_key(pem: bytes) -> EllipticCurvePrivateKey:
    """Reads the private key; raises ConfigurationError, in one line, for one that is not of the curve P-256."""
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise ConfigurationError("notification: the push key must be a private key of the curve P-256, as PEM")
    return key


def base64url(octets: bytes) -> str:
    """Encodes without padding."""
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Decodes, with or without padding; raises ValueError."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
