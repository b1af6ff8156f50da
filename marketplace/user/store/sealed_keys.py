"""Encryption of private keys at rest: AES-256-GCM (NIST SP 800-38D) under the service's secret."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from os import urandom

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_MARK = "aes256gcm:"
_NONCE = 12
_KEY = 32


class SealedKeys:
    """Encrypts texts under a secret. The `name` of a text is authenticated with it, but not stored."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(HKDF(SHA256(), _KEY, salt=None, info=b"signing keys at rest").derive(secret))

    def is_sealed(self, text: str) -> bool:
        """Tells whether a text is the result of `close`."""
        return text.startswith(_MARK)

    def close(self, name: str, text: str) -> str:
        """Encrypts a text."""
        nonce = urandom(_NONCE)
        return _MARK + urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), name.encode())).decode()

    def open(self, name: str, text: str) -> str | None:
        """Decrypts a text; returns None when its name or secret was another, or when it was changed."""
        try:
            sealed = urlsafe_b64decode(text.removeprefix(_MARK))
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], name.encode()).decode()
        except (InvalidTag, ValueError):
            return None
