"""The caller of a call, as one service proves it to another: a short-lived token in the metadata `souk-caller`.

It is signed by HMAC-SHA256 (RFC 2104) with a key that every process of an installation holds. It names the user,
the service that calls on their behalf, the service and the method that may accept it, and when it was issued.
Only services hold the key, so a service vouches for each token; the end user's own token stays at the gateway.

A token that is refused is a fault of the system, never of the user: a clock that is off, another key, or
a replay of a token that was meant for another callee.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass

import orjson
from cachetools import FIFOCache

from souk.kernel.clock import MICROSECONDS, Clock
from souk.kernel.context import Caller
from souk.kernel.errors import CallerTokenRefused, ConfigurationError

CALLER_KEY = "souk-caller"
OVER_HTTP = "http"
"""Stands for the method in the token of a plain HTTP request: the token is bound to the service alone."""
LIFETIME = 30.0
"""Seconds for which a token is valid."""
TOLERANCE = 60.0
"""Seconds by which the clocks of two processes may differ. A process that is off by more is not ready."""
_TOLERATED = round(TOLERANCE * MICROSECONDS)
_SHORTEST_KEY = 32
_CACHED = 4_096
_MAC = 43  # base64 of 32 octets, without padding


@dataclass(frozen=True, slots=True)
class _Token:
    """The content of a token. Times are in microseconds since 1970."""

    caller: Caller
    audience: str
    method: str
    issued: int
    expires: int


class CallerTokens:
    """Signs tokens in the name of `service`, and verifies the tokens that other services sign for it.

    Both are cached: a signed token is used again for half of `lifetime` (seconds), and a received one is read
    once; its audience, method and times are checked each time. Raises ConfigurationError for a key under 32 octets.
    """

    def __init__(self, key: bytes, service: str, clock: Clock, lifetime: float = LIFETIME) -> None:
        if len(key) < _SHORTEST_KEY:
            raise ConfigurationError(f"the key for caller tokens needs at least {_SHORTEST_KEY} octets")
        self._key = key
        self._service = service
        self._clock = clock
        self._lifetime = round(lifetime * MICROSECONDS)
        self._signed: FIFOCache[tuple[Caller, str, str], tuple[int, str]] = FIFOCache(_CACHED)
        self._verified: FIFOCache[str, _Token] = FIFOCache(_CACHED)

    def sign(self, caller: Caller, audience: str, method: str) -> str:
        """Signs a token for a call of `method` (its full name) that this service makes to `audience` for `caller`."""
        now, purpose = self._clock.now(), (caller, audience, method)
        try:
            cached = self._signed[purpose]  # `get` would look twice, and compare the caller each time
        except KeyError:
            cached = None
        if cached is not None and cached[0] - self._lifetime // 2 <= now < cached[0]:
            return cached[1]
        token = self._new(_Token(caller, audience, method, now, now + self._lifetime))
        self._signed[purpose] = now + self._lifetime // 2, token
        return token

    def verify(self, token: str, method: str) -> Caller:
        """Returns who is calling `method` of this service. Raises CallerTokenRefused, which says what is wrong."""
        try:
            read = self._verified[token]
        except KeyError:
            read = self._verified[token] = self._read(token)
        if read.audience != self._service:
            raise CallerTokenRefused(f"the caller token is for {read.audience!r}, and this is {self._service!r}")
        if read.method != method:
            raise CallerTokenRefused(f"the caller token is for {read.method}, and not for {method}")
        now = self._clock.now()
        if not read.issued - _TOLERATED <= now < read.expires + _TOLERATED:
            raise _not_now(read, now)
        return read.caller

    def _new(self, token: _Token) -> str:
        caller = token.caller
        who = (caller.subject, sorted(caller.roles), sorted(caller.scopes), self._service)
        purpose = (token.audience, token.method, token.issued, token.expires)
        body = _text(orjson.dumps((*who, *purpose, caller.session, caller.address)))
        return body + self._mac(body)

    def _read(self, token: str) -> _Token:
        body, mac = token[:-_MAC], token[-_MAC:]
        if not token.isascii() or not hmac.compare_digest(self._mac(body), mac):
            raise CallerTokenRefused("the caller token is not signed with the secret of this installation")
        try:
            claims = orjson.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            subject, roles, scopes, service, audience, method, issued, expires, session, address = claims
        except (ValueError, NotBase64) as error:
            raise CallerTokenRefused("the caller token is one of another version") from error
        caller = Caller(subject, frozenset(roles), frozenset(scopes), service, session, address)
        return _Token(caller, audience, method, issued, expires)

    def _mac(self, body: str) -> str:
        return _text(hmac.digest(self._key, body.encode(), "sha256"))


def _not_now(read: _Token, now: int) -> CallerTokenRefused:
    if now < read.issued:
        early = (read.issued - now) / MICROSECONDS
        return CallerTokenRefused(f"the caller token was issued {early:,.0f} s in the future by this process's clock")
    late = (now - read.expires) / MICROSECONDS
    return CallerTokenRefused(f"the caller token expired {late:,.0f} s ago by this process's clock")


def _text(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()
