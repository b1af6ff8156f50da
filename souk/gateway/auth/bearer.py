"""Verifies bearer tokens (RFC 6750) that are JWTs (RFC 7519) of the issuers that are trusted.

The algorithms of each issuer's keys are pinned, and none takes a shared secret: a token that names another is refused,
so neither `none` nor a public key used as an HMAC secret is ever tried (RFC 8725, section 3.1). Keys come from the
issuer alone, never from what a token brings (`jwk`, `jku`, `x5c`, `x5u`).
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from souk.gateway.auth.claims import Identified, TrustedIssuer
from souk.gateway.auth.compact import Unreadable, read_compact
from souk.gateway.auth.verification_key import VerificationKey
from souk.gateway.http.problem import Problem, unauthenticated
from souk.kernel.clock import MICROSECONDS, Clock

LONGEST_TOKEN = 8_192


@dataclass(frozen=True, slots=True)
class _Verified:
    identified: Identified
    expires: float
    issuer: TrustedIssuer
    kid: str
    key: VerificationKey


class BearerTokens:
    """Turns tokens into callers. Verified tokens are remembered by digest, at most `remembered` of them."""

    def __init__(self, issuers: Iterable[TrustedIssuer], remembered: int, clock: Clock) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._clock = clock
        self._remembered = remembered
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    async def identified(self, token: str) -> Identified:
        """Returns the caller that a token names. Raises Problem 401, or another one if the keys cannot be fetched."""
        if len(token) > LONGEST_TOKEN or not token.isascii():
            raise invalid_token("form")
        digest = hashlib.sha256(token.encode()).digest()
        verified = self._verified.get(digest)
        if verified is not None:
            self._verified.move_to_end(digest)
            if verified.issuer.keys.stale:
                await verified.issuer.keys.refresh()
            if not verified.issuer.keys.holds(verified.kid, verified.key):
                self._verified.pop(digest, None)
                verified = None
        if verified is None:
            verified = await self._verify(token)
            self._verified[digest] = verified
            if len(self._verified) > self._remembered:
                self._verified.popitem(last=False)
        if verified.expires <= self._clock.now() / MICROSECONDS:
            self._verified.pop(digest, None)
            raise unauthenticated("the token has expired", invalid_token=True, why="expired")
        return verified.identified

    async def _verify(self, token: str) -> _Verified:
        try:
            read = read_compact(token)
            name = read.claims.get("iss")
            issuer = self._issuers.get(name) if isinstance(name, str) else None
            if issuer is None:
                raise Unreadable("issuer or audience")
            if issuer.keys.stale:
                await issuer.keys.refresh()
            key = await issuer.keys.find(read.kid)
            if key is None:
                raise Unreadable("key")
            if not key.verifies(read.algorithm, read.signed, read.signature):
                raise Unreadable("signature")
            identified, expires = issuer.identified(read.claims, self._clock.now() / MICROSECONDS)
        except Unreadable as unreadable:
            raise invalid_token(str(unreadable)) from None
        return _Verified(identified, expires, issuer, read.kid, key)


def invalid_token(why: str) -> Problem:
    """Makes the problem of a token that is not valid; `why` is for the audit log."""
    # One text for all checks: which one failed helps only a forger of tokens.
    return unauthenticated("the token is not valid", invalid_token=True, why=why)
