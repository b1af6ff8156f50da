"""Refresh tokens: rotation, and what reuse means. Pure; times are microseconds.

The tokens of one login are a family. Each token can be used once; its use makes its successor. A client
that presents the previous token within a short grace (an answer was lost, two tabs raced) gets the same
successor again. Later the previous token counts as stolen, and the family ends. Source: RFC 9700,
section 4.14.2.

Only digests of tokens are stored, yet the successor can be given again: it is a MAC of the token that was
presented, under a key of the family. Neither the stored row alone nor an old token alone yields a token.

A token reads `souk_refresh_FAMILY_SECRET`, so that whoever searches texts for leaked secrets knows it by its form;
those from before this form read `FAMILY.SECRET`, and are taken as well.
"""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, replace
from enum import Enum

from souk.sdk import MICROSECONDS, Clock, new_id

GRACE = 10 * MICROSECONDS
_SECRET_SIZE = 32
_PREFIX = "souk_refresh_"
_FAMILY = "RTF-[0-9A-Z]{26}"
_TOKEN = re.compile(rf"(?:{_PREFIX}({_FAMILY})_|({_FAMILY})\.)([A-Za-z0-9_-]{{43}})")


@dataclass(frozen=True, slots=True)
class Family:
    """The refresh tokens of one login: digests of the current one and of the one before it."""

    id: str
    user_id: str
    key: bytes
    current: bytes
    previous: bytes | None
    rotated_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Presented:
    """The parts of a token that a client sent."""

    family_id: str
    secret: bytes


class Verdict(Enum):
    """The decision about a presented token."""

    ROTATED = "rotated"
    REPEATED = "repeated"
    REUSED = "reused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict, the family from now on (None when it ended), and the successor token."""

    verdict: Verdict
    family: Family | None
    token: str = ""


def open_family(user_id: str, clock: Clock, lifetime: int) -> tuple[Family, str]:
    """Makes a new family and its first token; `lifetime` is in microseconds."""
    secret, now = secrets.token_bytes(_SECRET_SIZE), clock.now()
    family = Family(
        id=new_id("RTF", clock),
        user_id=user_id,
        key=secrets.token_bytes(_SECRET_SIZE),
        current=_digest(secret),
        previous=None,
        rotated_at=now,
        expires_at=now + lifetime,
    )
    return family, _text(family.id, secret)


def parse(text: str) -> Presented | None:
    """Takes a token apart; returns None for text that is no token."""
    found = _TOKEN.fullmatch(text)
    if found is None:
        return None
    return Presented(found[1] or found[2], base64.urlsafe_b64decode(found[3] + "="))


def decide(family: Family, presented: Presented, now: int, lifetime: int) -> Decision:
    """Decides what to do about a presented token of this family; `lifetime` is in microseconds."""
    if now >= family.expires_at:
        return Decision(Verdict.EXPIRED, None)
    digest = _digest(presented.secret)
    successor = hmac.digest(family.key, presented.secret, hashlib.sha256)
    token = _text(family.id, successor)
    if hmac.compare_digest(digest, family.current):
        rotated = replace(
            family, current=_digest(successor), previous=digest, rotated_at=now, expires_at=now + lifetime
        )
        return Decision(Verdict.ROTATED, rotated, token)
    in_grace = now - family.rotated_at <= GRACE
    if in_grace and family.previous is not None and hmac.compare_digest(digest, family.previous):
        return Decision(Verdict.REPEATED, family, token)
    return Decision(Verdict.REUSED, None)


def _text(family_id: str, secret: bytes) -> str:
    return f"{_PREFIX}{family_id}_{base64.urlsafe_b64encode(secret).rstrip(b'=').decode()}"


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
