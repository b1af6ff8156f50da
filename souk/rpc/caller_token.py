"""The caller, as services tell each other: a short-lived token in the metadata `souk-caller`.

HMAC-SHA256 (RFC 2104) with a key that every process of an installation holds. It says who asks and
which service is calling on their behalf. Only services hold the key, so a token is a service's
word; the end user's own token stays at the gateway.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from typing import TypeVar

import orjson

from souk.kernel.clock import MICROSECONDS, Clock
from souk.kernel.context import Caller
from souk.kernel.errors import ConfigurationError, Unauthenticated

K = TypeVar("K")
V = TypeVar("V")

CALLER_KEY = "souk-caller"
LIFETIME = 120.0
_SHORTEST_KEY = 32
_CACHED = 4_096
_MAC = 43  # base64 of 32 octets, without padding


class CallerTokens:
    """Signs in the name of `service`, and verifies anybody's.

    Both are cached: a token is signed once for half of `lifetime` (seconds), and verified once;
    its expiry is checked each time. Raises ConfigurationError for a key under 32 octets.
    """

    def __init__(self, key: bytes, service: str, clock: Clock, lifetime: float = LIFETIME) -> None:
        if len(key) < _SHORTEST_KEY:
            raise ConfigurationError(f"the key for caller tokens needs at least {_SHORTEST_KEY} octets")
        self._key = key
        self._service = service
        self._clock = clock
        self._lifetime = round(lifetime * MICROSECONDS)
        self._signed: dict[Caller, tuple[int, str]] = {}
        self._verified: dict[str, tuple[int, Caller]] = {}

    def sign(self, caller: Caller) -> str:
        """A token for a call that this service makes on behalf of `caller`."""
        now = self._clock.now()
        cached = self._signed.get(caller)
        if cached is not None and now < cached[0]:
            return cached[1]
        token = self._new(caller, now + self._lifetime)
        _keep(self._signed, caller, (now + self._lifetime // 2, token))
        return token

    def verify(self, token: str) -> Caller:
        """Who is calling. Raises Unauthenticated when the token is not ours or too old."""
        cached = self._verified.get(token)
        if cached is None:
            cached = self._read(token)
            _keep(self._verified, token, cached)
        expires, caller = cached
        if self._clock.now() >= expires:
            raise Unauthenticated("the caller token has expired")
        return caller

    def _new(self, caller: Caller, expires: int) -> str:
        who = (caller.subject, sorted(caller.roles), sorted(caller.scopes), self._service)
        claims = (*who, expires, caller.session, caller.address)
        body = _text(orjson.dumps(claims))
        return body + self._mac(body)

    def _read(self, token: str) -> tuple[int, Caller]:
        body, mac = token[:-_MAC], token[-_MAC:]
        if not token.isascii() or not hmac.compare_digest(self._mac(body), mac):
            raise Unauthenticated("the caller token is not valid")
        try:
            claims = orjson.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            subject, roles, scopes, service, expires, session, address = claims
        except (ValueError, NotBase64) as error:
            raise Unauthenticated("the caller token is not valid") from error
        return expires, Caller(subject, frozenset(roles), frozenset(scopes), service, session, address)

    def _mac(self, body: str) -> str:
        return _text(hmac.digest(self._key, body.encode(), "sha256"))


def _text(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def _keep(cache: dict[K, V], key: K, value: V) -> None:
    cache[key] = value
    if len(cache) > _CACHED:
        del cache[next(iter(cache))]
