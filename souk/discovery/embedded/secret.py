"""The secret of the registry that comes with Souk, as its URL has it and as calls tell it."""

import hmac
import secrets
from urllib.parse import SplitResult, quote, unquote

import grpc
import grpc.aio

from souk.kernel.errors import ConfigurationError

KEY = "authorization"
"""The metadata that tells it, as a bearer token (RFC 6750)."""

MISSING = "this registry has a secret, and the call has none: the URL must be grpc://:SECRET@host:port"
WRONG = "the secret in the URL is not this registry's"
_BYTES = 24


def made_up() -> str:
    """One that nobody guesses; it needs no quoting."""
    return secrets.token_urlsafe(_BYTES)


def checked(secret: str) -> str:
    """The secret. Raises ConfigurationError for one that metadata cannot carry."""
    if not (secret.isascii() and secret.isprintable() and secret == secret.strip()):
        raise ConfigurationError("the registry's secret must be printable ASCII")
    return secret


def secret_in(url: SplitResult) -> str:
    """The password of an URL; empty without one. Raises ConfigurationError for one that cannot be a secret."""
    return checked(unquote(url.password or ""))


def with_secret(address: str, secret: str) -> str:
    """An address, host:port or a socket's path, after the secret in an URL."""
    return f":{quote(secret, safe='')}@{address}" if secret else address


def secret_metadata(secret: str) -> tuple[tuple[str, str], ...]:
    """The metadata of each call."""
    return ((KEY, f"Bearer {secret}"),) if secret else ()


def objection(metadata: grpc.aio.Metadata | None, secret: str) -> str:
    """Why a call is not let in; empty if it is. Compares in a time that says nothing of the secret."""
    given = [str(text) for key, text in tuple(metadata or ()) if key == KEY]
    if not given:
        return MISSING
    wanted = f"Bearer {secret}".encode()
    return "" if len(given) == 1 and hmac.compare_digest(given[0].encode(), wanted) else WRONG
