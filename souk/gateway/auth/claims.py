"""What a verified token says: when it is valid, for whom it is, and the caller that it stands for."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from souk.gateway.auth.compact import Unreadable
from souk.gateway.auth.jwks import SigningKeys
from souk.gateway.settings import GATEWAY_SERVICE, IssuerSettings
from souk.kernel.context import Caller

NOT_BEFORE_SKEW = 5.0
"""Seconds by which the clock of an issuer may be ahead."""
LONGEST_SUBJECT = 255
"""The most characters of a subject (OpenID Connect Core 1.0, section 2)."""
NAMESPACE_SEPARATOR = "|"
"""Stands between an issuer's name and a subject of it; no subject of ours has it."""


@dataclass(frozen=True, slots=True)
class Identified:
    """A caller whose credentials were good.

    `asked_roles` means that the caller is a user of ours, whose present roles are asked for when they matter; otherwise
    those of the caller count. `scoped` means that the caller may call only what the caller's scopes name.
    """

    caller: Caller
    asked_roles: bool = True
    scoped: bool = False


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer of access tokens (`iss`), the audience that its tokens must name (`aud`), and its keys.

    `other` has the settings of an issuer that is not the app's own.
    """

    issuer: str
    audience: str
    keys: SigningKeys
    other: IssuerSettings | None = None

    def identified(self, claims: Mapping[str, Any], now: float) -> tuple[Identified, float]:
        """Returns the caller of verified claims, and when they expire in seconds since 1970. Raises Unreadable."""
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != self.issuer or self.audience not in audiences:
            raise Unreadable("issuer or audience")
        if "cnf" in claims or _time(claims.get("nbf", 0)) > now + NOT_BEFORE_SKEW:
            # A token that is bound to a key of its holder (RFC 7800) is no bearer token: a thief may present it.
            raise Unreadable("not yet, or bound to a key")
        return self._identified(_subject(claims), claims), _time(claims.get("exp"))

    def _identified(self, subject: str, claims: Mapping[str, Any]) -> Identified:
        other = self.other
        if other is not None:
            subject = f"{other.name}{NAMESPACE_SEPARATOR}{subject}"
            named = words(_at(claims, other.roles_claim)) & other.roles.keys()
            roles = frozenset(other.roles[name] for name in named)
            caller = Caller(subject, roles, words(_at(claims, other.scope_claim)), GATEWAY_SERVICE)
            return Identified(caller, asked_roles=False, scoped=other.scoped)
        if NAMESPACE_SEPARATOR in subject:
            raise Unreadable("subject")
        roles, scopes, session = words(claims.get("roles")), words(claims.get("scope")), claims.get("sid")
        if "client_id" in claims:
            client = claims["client_id"]
            if not isinstance(client, str) or not client:
                raise Unreadable("subject")
            return Identified(Caller(subject, frozenset(), scopes, GATEWAY_SERVICE, api_key=client), scoped=True)
        return Identified(Caller(subject, roles, scopes, GATEWAY_SERVICE, session if isinstance(session, str) else ""))


def words(value: object) -> frozenset[str]:
    """Returns the words of a claim that is a list of texts, or one text with spaces; none for anything else."""
    if isinstance(value, str):
        return frozenset(value.split())
    return frozenset(word for word in value if isinstance(word, str)) if isinstance(value, list) else frozenset()


def _at(claims: Mapping[str, Any], path: str) -> object:
    """Returns the claim of that very name, or the one that the path leads to; None if there is none."""
    found: object = claims
    for name in [path] if path in claims else path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _subject(claims: Mapping[str, Any]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject or len(subject) > LONGEST_SUBJECT or not subject.isprintable():
        raise Unreadable("subject")
    return subject


def _time(value: object) -> float:
    """Returns a NumericDate (RFC 7519) as seconds since 1970. Raises Unreadable for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable("time")
    try:
        seconds = float(value)
    except OverflowError:
        raise Unreadable("time") from None
    if not math.isfinite(seconds):
        raise Unreadable("time")
    return seconds
