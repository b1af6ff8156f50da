"""A registry over a foreign system: an adapter says how it claims an id, and how it looks at a service."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Protocol

from souk.discovery.availability import Availability
from souk.discovery.diff import Memory
from souk.discovery.external.leases import LeaseBackend, LeasedRegistration, RegistryAway
from souk.discovery.registry import Change, Instance, checked
from souk.discovery.watch_fanout import Tell, Watches
from souk.kernel.clock import Clock

UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)
"""How an answer that is JSON, and not what it should be, is noticed."""


class WatchFeed:
    """What one watched service is said to have.

    For `grace` seconds after the registry may have forgotten something, an instance that is missing is
    kept: its process is just about to register again.
    """

    def __init__(self, tell: Tell, availability: Availability, clock: Clock, grace: float) -> None:
        self._tell, self._availability, self._clock, self._grace = tell, availability, clock, grace
        self._memory = Memory()
        self._life = 0
        self._settled_at: float | None = None

    def hear(self, instances: Iterable[Instance], in_doubt: Iterable[str] = ()) -> None:
        """All that the registry knows at this moment. Those `in_doubt`, by id, it holds to be dead, and it
        may be mistaken if it has just come back."""
        self._availability.found()
        now = self._clock.monotonic()
        if self._settled_at is None:
            self._settled_at = now + (self._grace if self._life else 0.0)
        settled = now >= self._settled_at
        known = self._memory.known
        kept = () if settled else (known[name] for name in in_doubt if name in known)
        self._tell(self._memory.hear(str(self._life), settled, [*kept, *instances]))

    def forgot(self) -> None:
        """The registry may have forgotten something, now or by the time when it answers again."""
        self._life += 1
        self._settled_at = None

    def settles_in(self, longest: float) -> float:
        """Seconds until the registry is to be asked again because of what it may have forgotten, or `longest`."""
        if self._settled_at is None:
            return longest
        left = self._settled_at - self._clock.monotonic()
        return longest if left <= 0 else min(left + 0.01, longest)


class RegistryBackend(LeaseBackend, Protocol):
    """What an adapter does."""

    grace: float
    """Seconds after which everybody who lives must have been seen by a registry that forgot."""

    async def listen(self, service: str, feed: WatchFeed) -> None:
        """Tells all healthy instances of a service, and again after each change, until it fails."""
        ...

    async def close(self) -> None:
        """Closes every connection."""
        ...


class BackedRegistry:
    """The port's `Registry` over a backend."""

    def __init__(self, backend: RegistryBackend, clock: Clock, lease: float) -> None:
        self._backend, self._clock, self._lease = backend, clock, lease
        self._availability = Availability((RegistryAway, *UNREADABLE), _line)
        self._watches = Watches(self._follow)
        self._registrations: list[LeasedRegistration] = []

    @property
    def away(self) -> str:
        """Why the registry cannot be reached; empty when it can."""
        return self._availability.away

    async def register(self, instance: Instance) -> LeasedRegistration:
        """Announces an instance; returns once the registry knows it, or turned out to be away."""
        self._backend.check(checked(instance))
        registration = LeasedRegistration(instance, self._backend, self._availability, self._lease)
        self._registrations = [one for one in self._registrations if not one.left] + [registration]
        await registration.announced()
        return registration

    def watch(self, service: str) -> AsyncGenerator[Change, None]:
        """Changes among a service's instances."""
        return self._watches.watch(service)

    async def close(self) -> None:
        """Leaves with every registration and ends every watch."""
        await asyncio.gather(*(registration.leave() for registration in self._registrations))
        await self._watches.close()
        await self._backend.close()

    async def _follow(self, service: str, tell: Tell) -> None:
        feed = WatchFeed(tell, self._availability, self._clock, self._backend.grace)

        async def attempt() -> None:
            try:
                await self._backend.listen(service, feed)
            finally:
                feed.forgot()

        await self._availability.keep(attempt)


def _line(error: Exception) -> str:
    return f"the registry answers what it should not: {error!r}" if isinstance(error, UNREADABLE) else str(error)
