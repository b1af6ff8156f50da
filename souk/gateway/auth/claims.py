"""What a verified token says: when it is valid, for whom it is, and the caller that it stands for."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from souk.gateway.auth.compact import Unreadable
from souk.gateway.auth.jwks import SigningKeys
from souk.gateway.settings import GATEWAY_SERVICE
from souk.kernel.context import Caller

NOT_BEFORE_SKEW = 5.0
"""Seconds by which the clock of an issuer may be ahead."""
LONGEST_SUBJECT = 255
"""The most characters of a subject (OpenID Connect Core 1.0, section 2)."""


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer of access tokens (`iss`), the audience that its tokens must name (`aud`), and its keys."""

    issuer: str
    audience: str
    keys: SigningKeys

    def caller(self, claims: Mapping[str, Any], now: float) -> tuple[Caller, float]:
        """Returns the caller of verified claims, and when they expire in seconds since 1970. Raises Unreadable."""
        audience, subject, session = claims.get("aud"), claims.get("sub"), claims.get("sid")
        audiences = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != self.issuer or self.audience not in audiences:
            raise Unreadable
        if not isinstance(subject, str) or not subject or len(subject) > LONGEST_SUBJECT or not subject.isprintable():
            raise Unreadable
        if "cnf" in claims or _time(claims.get("nbf", 0)) > now + NOT_BEFORE_SKEW:
            # A token that is bound to a key of its holder (RFC 7800) is no bearer token: a thief may present it.
            raise Unreadable
        caller = Caller(
            subject,
            words(claims.get("roles")),
            words(claims.get("scope")),
            GATEWAY_SERVICE,
            session if isinstance(session, str) else "",
        )
        return caller, _time(claims.get("exp"))


def words(value: object) -> frozenset[str]:
    """Returns the words of a claim that is a list of texts, or one text with spaces; none for anything else."""
    if isinstance(value, str):
        return frozenset(value.split())
    return frozenset(word for word in value if isinstance(word, str)) if isinstance(value, list) else frozenset()


def _time(value: object) -> float:
    """Returns a NumericDate (RFC 7519) as seconds since 1970. Raises Unreadable for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable
    try:
        seconds = float(value)
    except OverflowError:
        raise Unreadable from None
    if not math.isfinite(seconds):
        raise Unreadable
    return seconds
