"""Private keys at rest, sealed with AES-256-GCM (NIST SP 800-38D) under the service's secret."""

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
    """Makes texts unreadable for whoever has not the secret; `name` says what a text is, and is part of the seal."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(HKDF(SHA256(), _KEY, salt=None, info=b"signing keys at rest").derive(secret))

    def is_sealed(self, text: str) -> bool:
        """Whether `close` made it."""
        return text.startswith(_MARK)

    def close(self, name: str, text: str) -> str:
        """The text, sealed."""
        nonce = urandom(_NONCE)
        return _MARK + urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), name.encode())).decode()

    def open(self, name: str, text: str) -> str | None:
        """What was sealed under that name; None when it was under another name or secret, or has changed."""
        try:
            sealed = urlsafe_b64decode(text.removeprefix(_MARK))
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], name.encode()).decode()
        except (InvalidTag, ValueError):
            return None
