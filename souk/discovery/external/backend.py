"""A registry over an external system: a backend says how to claim an id, and how to follow a service."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Protocol

from souk.discovery.availability import Availability
from souk.discovery.diff import Memory
from souk.discovery.external.leases import LeaseBackend, LeasedRegistration, RegistryAway
from souk.discovery.registry import Instance, WatchEvent, checked
from souk.discovery.watch_fanout import Publish, Watches
from souk.kernel.addresses import socket_path
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError

UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)
"""The errors that reading a JSON answer raises when it has not the expected form."""


def require_port(instance: Instance, registry: str) -> None:
    """Raises ConfigurationError for an instance at a socket, for a registry that holds hosts and ports alone."""
    if socket_path(instance.address):
        raise ConfigurationError(
            f"{registry} holds hosts and ports, and {instance.id} takes calls at {instance.address}: set SOUK_HOST to "
            "the address at which others reach it, or set SOUK_REGISTRY to unix:PATH, a registry that holds sockets"
        )


class WatchFeed:
    """Receives the instances that a registry lists for one watched service, and smooths them over its restarts.

    For `grace` seconds after the registry may have forgotten instances, a missing instance is kept,
    because its process is about to register again.
    """

    def __init__(self, publish: Publish, availability: Availability, clock: Clock, grace: float) -> None:
        self._publish, self._availability, self._clock, self._grace = publish, availability, clock, grace
        self._memory = Memory()
        self._life = 0
        self._settled_at: float | None = None

    def receive(self, instances: Iterable[Instance], in_doubt: Iterable[str] = ()) -> None:
        """Takes all healthy instances that the registry lists now. It holds those `in_doubt`, ids, to be dead; a
        registry that has just come back may be wrong about them, so they are kept during the grace."""
        self._availability.found()
        now = self._clock.monotonic()
        if self._settled_at is None:
            self._settled_at = now + (self._grace if self._life else 0.0)
        settled = now >= self._settled_at
        known = self._memory.known
        kept = () if settled else (known[name] for name in in_doubt if name in known)
        self._publish(self._memory.receive(str(self._life), settled, [*kept, *instances]))

    def forgot(self) -> None:
        """Notes that the registry may have forgotten instances, now or by the time when it answers again."""
        self._life += 1
        self._settled_at = None

    def settles_in(self, longest: float) -> float:
        """Returns the seconds until the grace ends and the registry is to be asked again, at most `longest`."""
        if self._settled_at is None:
            return longest
        left = self._settled_at - self._clock.monotonic()
        return longest if left <= 0 else min(left + 0.01, longest)


class RegistryBackend(LeaseBackend, Protocol):
    """What an adapter to an external registry implements."""

    grace: float
    """Seconds after which a registry that forgot must know all living instances again."""

    async def listen(self, service: str, feed: WatchFeed) -> None:
        """Gives `feed` all healthy instances of a service, and again after each change, until it fails."""
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...


class BackedRegistry:
    """The port's `Registry` over the backend of an external registry."""

    def __init__(self, backend: RegistryBackend, clock: Clock, lease: float) -> None:
        self._backend, self._clock, self._lease = backend, clock, lease
        self._availability = Availability((RegistryAway, *UNREADABLE), _line)
        self._watches = Watches(self._follow)
        self._registrations: list[LeasedRegistration] = []

    @property
    def away(self) -> str:
        """Why the registry cannot be reached now, in one line; empty when it can."""
        return self._availability.away

    async def register(self, instance: Instance) -> LeasedRegistration:
        """Announces an instance; returns once the registry knows it, or was found to be away."""
        self._backend.check(checked(instance))
        registration = LeasedRegistration(instance, self._backend, self._availability, self._lease)
        self._registrations = [one for one in self._registrations if not one.left] + [registration]
        await registration.announced()
        return registration

    def watch(self, service: str) -> AsyncGenerator[WatchEvent, None]:
        """Yields the changes among a service's instances."""
        return self._watches.watch(service)

    async def close(self) -> None:
        """Withdraws every registration and ends every watch."""
        await asyncio.gather(*(registration.leave() for registration in self._registrations))
        await self._watches.close()
        await self._backend.close()

    async def _follow(self, service: str, publish: Publish) -> None:
        feed = WatchFeed(publish, self._availability, self._clock, self._backend.grace)

        async def attempt() -> None:
            try:
                await self._backend.listen(service, feed)
            finally:
                feed.forgot()

        await self._availability.keep(attempt)


def _line(error: Exception) -> str:
    return f"the registry answers what it should not: {error!r}" if isinstance(error, UNREADABLE) else str(error)
