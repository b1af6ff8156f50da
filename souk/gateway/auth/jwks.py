"""The keys that verify tokens: fetched from the service that signs, cached, and fetched again when needed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from souk.gateway.http.problem import Problem
from souk.gateway.settings import GatewaySettings
from souk.kernel.clock import Clock
from souk.telemetry.logs import logger

Fetch = Callable[[], Awaitable[Mapping[str, Any]]]
"""Fetches a JSON Web Key Set (RFC 7517). Raises Problem when it cannot."""


class SigningKeys:
    """The verification keys by kid.

    An unknown kid causes a fetch at most once in `jwks_refetch` seconds, however many requests have one, so that
    forged tokens cannot cause load. Keys older than `jwks_age` seconds are fetched again before they are used;
    if that fails, the old ones stay.
    """

    def __init__(self, fetch: Fetch, settings: GatewaySettings, clock: Clock) -> None:
        self._fetch, self._settings, self._clock = fetch, settings, clock
        self._keys: dict[str, tuple[Mapping[str, Any], ECKey]] = {}
        self._fetched: float | None = None
        self._tried: float | None = None
        self._failure: Problem | None = None
        self._lock = asyncio.Lock()

    def holds(self, kid: str, key: ECKey) -> bool:
        """Returns whether a kid still names this same key."""
        known = self._keys.get(kid)
        return known is not None and known[1] is key

    @property
    def stale(self) -> bool:
        """Whether the keys must be fetched before they are used again."""
        return self._fetched is None or self._clock.monotonic() - self._fetched >= self._settings.jwks_age

    async def find(self, kid: str) -> ECKey | None:
        """Returns the key with a kid. Raises Problem when it is unknown and the keys cannot be fetched."""
        if kid not in self._keys:
            await self._refetch(kid)
        known = self._keys.get(kid)
        if known is None and self._failure is not None:
            raise replace(self._failure)
        return None if known is None else known[1]

    async def refresh(self) -> None:
        """Fetches the keys if they are stale; tokens of withdrawn keys are refused from then on.

        While one request fetches, the others go on with the old keys: when the service that signs
        hangs, only one request at a time hangs with it.
        """
        if self.stale and not (self._keys and self._lock.locked()):
            await self._refetch(None)

    async def _refetch(self, wanted: str | None) -> None:
        async with self._lock:
            # A request that waited here while another fetched uses the result of that fetch.
            if not self._may_try() or (wanted in self._keys and not self.stale):
                return
            self._tried = self._clock.monotonic()
            try:
                self._replace(await self._fetch())
            except Problem as problem:
                self._failure = problem
                logger("gateway").warning("verification keys not fetched", code=problem.code)
            else:
                self._fetched, self._failure = self._clock.monotonic(), None

    def _may_try(self) -> bool:
        pause = self._settings.jwks_refetch if self._failure is None else self._settings.jwks_retry
        return self._tried is None or self._clock.monotonic() - self._tried >= pause

    def _replace(self, found: Mapping[str, Any]) -> None:
        keys: dict[str, tuple[Mapping[str, Any], ECKey]] = {}
        for jwk in found.get("keys", ()):
            kid = jwk.get("kid")
            if not isinstance(kid, str) or not kid:
                continue
            known = self._keys.get(kid)
            key = known[1] if known is not None and known[0] == jwk else _imported(jwk)
            if key is not None:
                keys[kid] = (jwk, key)
        self._keys = keys


def _imported(jwk: Mapping[str, Any]) -> ECKey | None:
    """Imports a P-256 key that is meant to verify ES256 signatures (RFC 7517, section 4); None for any other key."""
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256" or jwk.get("alg", "ES256") != "ES256":
        return None
    uses = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(uses, list) or "verify" not in uses:
        return None
    try:
        return ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")})
    except (JoseError, ValueError, TypeError, KeyError):
        return None
