"""API keys, by which programs call in their owner's name, and their rules. No I/O.

A key reads `souk_ID_SECRET`: the identifier finds it, and a tool that searches for leaked secrets knows it by its
beginning. The secret has 256 random bits, so that a plain digest of it cannot be guessed, and needs no slow hash.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

from souk.sdk import MICROSECONDS, DomainError

API_KEY_NOT_FOUND = "API_KEY_NOT_FOUND"
TOO_MANY_API_KEYS = "TOO_MANY_API_KEYS"
SCOPE_NOT_GRANTED = "SCOPE_NOT_GRANTED"
MOST_API_KEYS = 20
"""The most API keys that an account may have at once."""
DAY = 24 * 3_600 * MICROSECONDS
DEFAULT_DAYS = 90
_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret. Times are in microseconds since 1970; `last_used_at` is None if it never was used."""

    id: str
    user_id: str
    name: str
    scopes: tuple[str, ...]
    digest: bytes = field(repr=False)
    created_at: int
    expires_at: int
    last_used_at: int | None = None

    def is_good(self, digest: bytes, now: int) -> bool:
        """Tells whether the key of this digest is this one, and has not expired."""
        return hmac.compare_digest(self.digest, digest) and now < self.expires_at


def new_api_key(user_id: str, name: str, scopes: tuple[str, ...], days: int | None, now: int) -> tuple[ApiKey, str]:
    """Makes a key that ends in `days`; returns it without its secret, and the key itself."""
    key_id = secrets.token_hex(8)
    key = f"souk_{key_id}_{secrets.token_urlsafe(32)}"
    ends = now + (DEFAULT_DAYS if days is None else days) * DAY
    digest = hashlib.sha256(key.encode()).digest()
    return ApiKey(key_id, user_id, name.strip(), tuple(sorted(set(scopes))), digest, now, ends), key


def is_api_key_id(text: str) -> bool:
    """Tells whether the text has the form of a key's identifier."""
    return _ID.fullmatch(text) is not None


def unknown_api_key() -> DomainError:
    """Makes the refusal for a key that does not exist, is somebody else's or is not good; it does not say which."""
    return DomainError(API_KEY_NOT_FOUND, "the API key does not exist")


def granted(key: ApiKey, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the scopes of a token for the key: those asked for, or all; raises SCOPE_NOT_GRANTED for others."""
    if not set(asked) <= set(key.scopes):
        raise DomainError(SCOPE_NOT_GRANTED, "the API key does not have a scope that is asked for")
    return tuple(sorted(set(asked))) or key.scopes


def too_many_api_keys() -> DomainError:
    """Makes the refusal of one key too many."""
    return DomainError(TOO_MANY_API_KEYS, f"an account may have {MOST_API_KEYS} API keys; revoke one first")
