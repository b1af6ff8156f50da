"""The signing keys in memory, looked up anew now and then."""

from collections.abc import Awaitable, Callable, Sequence

from marketplace.user.signing import SigningKey

from marketplace.user.ports import Keys
from souk.kernel.clock import Clock

FRESH = 30.0
"""Seconds; far less than the lead of a key, so that every replica knows it before it signs."""

Rotate = Callable[[], Awaitable[Sequence[SigningKey]]]


class CachedKeyRing:
    """The port KeyRing. Lets the first key be made when there is none."""

    def __init__(self, keys: Keys, rotate: Rotate, clock: Clock) -> None:
        self._store = keys
        self._rotate = rotate
        self._clock = clock
        self._keys: Sequence[SigningKey] = ()
        self._looked_at = 0.0

    async def keys(self) -> Sequence[SigningKey]:
        now = self._clock.monotonic()
        if not self._keys or now - self._looked_at >= FRESH:
            self._keys = await self._store.all() or await self._rotate()
            self._looked_at = now
        return self._keys
