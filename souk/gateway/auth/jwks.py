"""The keys that verify tokens: fetched from whoever signs, cached, and fetched again when needed."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from souk.gateway.auth.verification_key import ES256, VerificationKey, imported
from souk.gateway.http.problem import Problem
from souk.gateway.settings import GatewaySettings
from souk.kernel.clock import Clock
from souk.telemetry.logs import logger

Fetch = Callable[[], Awaitable[Mapping[str, Any]]]
"""Fetches a JSON Web Key Set (RFC 7517). Raises Problem when it cannot."""

MOST_KEYS = 100
"""The most keys of one issuer that are kept; further ones are passed over."""


class SigningKeys:
    """The verification keys by kid.

    An unknown kid causes a fetch at most once in `jwks_refetch` seconds, however many requests have one, so that
    forged tokens cannot cause load. Keys older than `age` seconds (`jwks_age` by default) are fetched again before
    they are used; if that fails, the old ones stay, for `jwks_stale` seconds after they were last fetched: whoever can
    keep an issuer away must not be able to keep a withdrawn key. All these are times of the monotonic clock, so a date
    that jumps changes none of them.
    """

    def __init__(
        self,
        fetch: Fetch,
        settings: GatewaySettings,
        clock: Clock,
        *,
        algorithms: Collection[str] = (ES256,),
        age: float | None = None,
    ) -> None:
        self._fetch, self._settings, self._clock, self._algorithms = fetch, settings, clock, algorithms
        self._age = settings.jwks_age if age is None else age
        self._keys: dict[str, tuple[Mapping[str, Any], VerificationKey]] = {}
        self._fetched: float | None = None
        self._tried: float | None = None
        self._failure: Problem | None = None
        self._lock = asyncio.Lock()

    def holds(self, kid: str, key: VerificationKey) -> bool:
        """Returns whether a kid still names this same key."""
        known = self._keys.get(kid)
        return known is not None and known[1] is key

    @property
    def stale(self) -> bool:
        """Whether the keys must be fetched before they are used again."""
        return self._fetched is None or self._clock.monotonic() - self._fetched >= self._age

    async def find(self, kid: str) -> VerificationKey | None:
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
        self._forget_too_old()

    def _forget_too_old(self) -> None:
        if self._keys and self._fetched is not None:
            age = self._clock.monotonic() - self._fetched
            if age >= self._settings.jwks_stale:
                logger("gateway").error("verification keys are too old to be used", seconds=round(age))
                self._keys = {}

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
        keys: dict[str, tuple[Mapping[str, Any], VerificationKey]] = {}
        for jwk in found.get("keys", ())[:MOST_KEYS]:
            kid = jwk.get("kid")
            if not isinstance(kid, str) or not kid:
                continue
            known = self._keys.get(kid)
            key = known[1] if known is not None and known[0] == jwk else imported(jwk, self._algorithms)
            if key is not None:
                keys[kid] = (jwk, key)
        self._keys = keys
