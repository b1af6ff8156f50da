"""Identifies callers by bearer tokens (RFC 6750) that are JWTs signed with ES256 (RFC 7519), and checks roles.

The algorithm is pinned: a token that names another is refused before a key is looked up, so
neither `none` nor a public key used as an HMAC secret is ever tried (RFC 8725, section 3.1).
"""

import hashlib
import math
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson
from cachetools import LRUCache
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from souk.descriptors.contract import Access, Method
from souk.gateway.auth.jwks import SigningKeys
from souk.gateway.http.problem import Problem, forbidden, unauthenticated
from souk.gateway.settings import GATEWAY_SERVICE, GatewaySettings
from souk.kernel.clock import MICROSECONDS, Clock
from souk.kernel.context import Caller

ALGORITHM = "ES256"
LONGEST_TOKEN = 8_192
NOT_BEFORE_SKEW = 5.0
ANONYMOUS = Caller(service=GATEWAY_SERVICE)

UNREADABLE = (JoseError, ValueError, TypeError, OverflowError, RecursionError)
"""What the readers of tokens raise for an invalid token, which is always the client's error, never the gateway's."""

RolesOf = Callable[[str, str], Awaitable[frozenset[str]]]
"""Returns the present roles of a user; the second argument is the traceparent. Raises Problem if it cannot."""


class Issuer(Protocol):
    """The issuer and the audience of tokens, and the full names of the methods that return keys and roles."""

    @property
    def issuer(self) -> str: ...
    @property
    def audience(self) -> str: ...
    @property
    def keys_method(self) -> str: ...
    @property
    def roles_method(self) -> str: ...


@dataclass(frozen=True, slots=True)
class _Verified:
    caller: Caller
    expires: float
    kid: str
    key: ECKey


class Identity:
    """Turns an Authorization header into a Caller, and checks what that caller may call."""

    def __init__(
        self, issuer: Issuer, keys: SigningKeys, roles_of: RolesOf, settings: GatewaySettings, clock: Clock
    ) -> None:
        self._issuer, self._keys, self._roles_of = issuer, keys, roles_of
        self._clock = clock
        self._verified: LRUCache[bytes, _Verified] = LRUCache(settings.verified_tokens)

    async def authorise(self, authorization: str, method: Method, traceparent: str) -> Caller:
        """Returns the caller of `method`, if the caller may call it.

        Raises Problem 401 or 403, or the one of a service that could not be asked for keys or roles.
        """
        if method.policy.access is Access.ANYONE:
            return ANONYMOUS
        caller = await self.caller(authorization)
        if method.policy.roles:
            # Asked for at each call and not taken from the token, so that a user who loses a role loses it at once.
            caller = replace(caller, roles=await self._roles_of(caller.subject, traceparent))
            if not caller.roles & method.policy.roles:
                raise forbidden()
        if not method.policy.scopes <= caller.scopes:
            raise forbidden()
        return caller

    async def caller(self, authorization: str) -> Caller:
        """Returns the caller that a token names. Raises Problem 401, or another one if the keys cannot be fetched."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthenticated()
        if len(token) > LONGEST_TOKEN or not token.isascii():
            raise _invalid()
        if self._keys.stale:
            await self._keys.refresh()
        digest = hashlib.sha256(token.encode()).digest()
        verified = self._remembered(digest)
        if verified is None:
            verified = await self._verify(token)
            self._verified[digest] = verified
        if verified.expires <= self._clock.now() / MICROSECONDS:
            self._verified.pop(digest, None)
            raise unauthenticated("the token has expired", invalid_token=True)
        return verified.caller

    def _remembered(self, digest: bytes) -> _Verified | None:
        verified = self._verified.get(digest)
        if verified is None:
            return None
        if not self._keys.holds(verified.kid, verified.key):
            del self._verified[digest]
            return None
        return verified

    async def _verify(self, token: str) -> _Verified:
        kid = _kid(token)
        key = await self._keys.find(kid)
        if key is None:
            raise _invalid()
        try:
            payload = jws.deserialize_compact(token, key, algorithms=[ALGORITHM]).payload
            # Read by orjson, as it refuses lone surrogates and endless nesting.
            claims = orjson.loads(payload)
        except UNREADABLE:
            raise _invalid() from None
        if not isinstance(claims, dict):
            raise _invalid()
        return self._checked(claims, kid, key)

    def _checked(self, claims: dict[str, Any], kid: str, key: ECKey) -> _Verified:
        audience, subject = claims.get("aud"), claims.get("sub")
        audiences = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != self._issuer.issuer or self._issuer.audience not in audiences:
            raise _invalid()
        if not isinstance(subject, str) or not subject:
            raise _invalid()
        if _time(claims.get("nbf", 0)) > self._clock.now() / MICROSECONDS + NOT_BEFORE_SKEW:
            raise _invalid()
        session = claims.get("sid")
        if not isinstance(session, str):
            session = ""
        caller = Caller(subject, _words(claims.get("roles")), _words(claims.get("scope")), GATEWAY_SERVICE, session)
        return _Verified(caller, _time(claims.get("exp")), kid, key)


def _invalid() -> Problem:
    # One text for all checks: which one failed helps only a forger of tokens.
    return unauthenticated("the token is not valid", invalid_token=True)


def _kid(token: str) -> str:
    """Returns the kid of a token whose algorithm is ES256. Raises Problem for any other."""
    head = token.partition(".")[0]
    try:
        header = orjson.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except UNREADABLE:
        raise _invalid() from None
    if not isinstance(header, dict) or header.get("alg") != ALGORITHM or "crit" in header:
        raise _invalid()
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise _invalid()
    return kid


def _time(value: object) -> float:
    """Returns a NumericDate (RFC 7519) as seconds since 1970. Raises Problem for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _invalid()
    try:
        seconds = float(value)
    except OverflowError:
        raise _invalid() from None
    if not math.isfinite(seconds):
        raise _invalid()
    return seconds


def _words(value: object) -> frozenset[str]:
    if isinstance(value, str):
        return frozenset(value.split())
    return frozenset(word for word in value if isinstance(word, str)) if isinstance(value, list) else frozenset()
