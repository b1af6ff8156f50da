"""API keys: whose they are is asked of the service that made them, and known for some seconds.

A key reads `souk_ID_SECRET`. The gateway sends its identifier and digest on, never the key.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable

from cachetools import TTLCache

from souk.gateway.auth.claims import Identified
from souk.gateway.http.problem import Problem, unauthenticated
from souk.gateway.settings import GATEWAY_SERVICE, GatewaySettings
from souk.kernel.clock import Clock
from souk.kernel.context import Caller

PREFIX = "souk_"
KEYED = frozenset((b"x-api-key", b"authorization"))
"""The headers in which an API key may come."""
_BEGINNING = PREFIX.encode()
_KEY = re.compile(rf"{PREFIX}([0-9a-f]{{16}})_[A-Za-z0-9_-]{{43}}")

OwnerOf = Callable[[str, bytes], Awaitable[tuple[str, frozenset[str]] | None]]
"""Returns the user and the scopes of a key by its identifier and its SHA-256, or None. Raises Problem if it cannot."""


def is_api_key(name: bytes, value: bytes) -> bool:
    """Returns whether a header holds an API key of ours, which no server behind the gateway needs to see."""
    return _BEGINNING in value and name in KEYED


class ApiKeys:
    """Turns API keys into callers, who may call what the key's scopes name.

    Good keys and wrong ones are known by digest for `api_key_age` seconds, at most `known_api_keys` of each: a key that
    is revoked is refused that much later, also while its service is away.
    """

    def __init__(self, owner_of: OwnerOf, settings: GatewaySettings, clock: Clock) -> None:
        self._owner_of = owner_of
        size, age = settings.known_api_keys, settings.api_key_age
        self._good: TTLCache[bytes, Identified] = TTLCache(size, age, clock.monotonic)
        self._wrong: TTLCache[bytes, bool] = TTLCache(size, age, clock.monotonic)

    async def identified(self, key: str) -> Identified:
        """Returns the caller of a key. Raises Problem 401, or another one if its service cannot be asked."""
        digest = hashlib.sha256(key.encode("latin-1")).digest()
        known = self._good.get(digest)
        if known is not None:
            return known
        found = _KEY.fullmatch(key)
        if found is None:
            raise _invalid("")
        if digest in self._wrong:
            raise _invalid(found[1])
        owner = await self._owner_of(found[1], digest)
        if owner is None:
            self._wrong[digest] = True
            raise _invalid(found[1])
        user_id, scopes = owner
        caller = Caller(user_id, frozenset(), scopes, GATEWAY_SERVICE, api_key=found[1])
        identified = self._good[digest] = Identified(caller, scoped=True)
        return identified


def _invalid(key_id: str) -> Problem:
    problem = unauthenticated("the API key is not valid", invalid_token=True, why="API key")
    problem.who = key_id and f"API key {key_id}"
    return problem
