"""The secret of the embedded registry, in its URL and in the metadata of calls."""

import hmac
import secrets
from urllib.parse import SplitResult, quote, unquote

import grpc
import grpc.aio

from souk.kernel.errors import ConfigurationError

KEY = "authorization"
"""The key of the metadata that carries the secret, as a bearer token (RFC 6750)."""

MISSING = "this registry has a secret, and the call has none: the URL must be grpc://:SECRET@host:port"
WRONG = "the secret in the URL is not this registry's"
_BYTES = 24


def made_up() -> str:
    """Makes a random secret, which needs no quoting in an URL."""
    return secrets.token_urlsafe(_BYTES)


def checked(secret: str) -> str:
    """Returns the secret. Raises ConfigurationError for one that metadata cannot carry."""
    if not (secret.isascii() and secret.isprintable() and secret == secret.strip()):
        raise ConfigurationError("the registry's secret must be printable ASCII")
    return secret


def secret_in(url: SplitResult) -> str:
    """Returns the password of an URL; empty without one. Raises ConfigurationError for one that cannot be a secret."""
    return checked(unquote(url.password or ""))


def with_secret(address: str, secret: str) -> str:
    """Puts the secret before an address, host:port or a socket's path, as an URL has it."""
    return f":{quote(secret, safe='')}@{address}" if secret else address


def secret_metadata(secret: str) -> tuple[tuple[str, str], ...]:
    """Returns the metadata for each call."""
    return ((KEY, f"Bearer {secret}"),) if secret else ()


def objection(metadata: grpc.aio.Metadata | None, secret: str) -> str:
    """Returns why a call is not admitted; empty if it is. The comparison takes constant time."""
    given = [str(text) for key, text in tuple(metadata or ()) if key == KEY]
    if not given:
        return MISSING
    wanted = f"Bearer {secret}".encode()
    return "" if len(given) == 1 and hmac.compare_digest(given[0].encode(), wanted) else WRONG
