"""Reads signed tokens in the compact form (RFC 7515, section 7.1), strictly: each token has one way to be written.

What a library may pass over is refused here: padding, unused bits that are not zero, characters beside base64url,
members that occur twice, and members that must be understood (`crit`).
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

import orjson

TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
"""The types (`typ`) of tokens that are taken, in small letters; a token without a type is taken as well (RFC 9068)."""


class Unreadable(ValueError):
    """A token that cannot be believed. Its text, the check that failed, is for the audit log alone."""


@dataclass(frozen=True, slots=True)
class CompactToken:
    """A token that was read and is not verified yet. `signed` are the octets that the signature is about."""

    kid: str
    algorithm: str
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


def read_compact(token: str) -> CompactToken:
    """Reads a token. Raises Unreadable for anything that RFC 7515, RFC 7519 or this module does not allow."""
    parts = token.split(".")
    if len(parts) != 3 or not parts[2]:
        raise Unreadable("form")
    header, claims = _object(parts[0]), _object(parts[1])
    kid, algorithm, kind = header.get("kid"), header.get("alg"), header.get("typ", "JWT")
    if not isinstance(kid, str) or not kid or not isinstance(algorithm, str) or not isinstance(kind, str):
        raise Unreadable("header")
    if "crit" in header or kind.lower() not in TYPES:
        raise Unreadable("type")
    return CompactToken(kid, algorithm, claims, f"{parts[0]}.{parts[1]}".encode(), _octets(parts[2]))


def _octets(segment: str) -> bytes:
    try:
        octets = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        raise Unreadable("form") from None
    if urlsafe_b64encode(octets).rstrip(b"=") != segment.encode():
        raise Unreadable("form")
    return octets


def _object(segment: str) -> dict[str, Any]:
    octets = _octets(segment)
    try:
        # By orjson first, as it refuses lone surrogates, endless nesting and NaN; it does not tell repeated members.
        orjson.loads(octets)
        found = json.loads(octets, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise Unreadable("form") from None
    if not isinstance(found, dict):
        raise Unreadable("form")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable("form")
    return found
