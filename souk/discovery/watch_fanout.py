"""Shares one watch of the registry for each service among many watchers."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from souk.discovery.diff import Known, differences
from souk.discovery.registry import Listed, WatchEvent

Publish = Callable[[Known], None]

Follow = Callable[[str, Publish], Awaitable[None]]
"""Passes all instances of a service to `Publish` whenever they may have changed, for ever."""


class Watches:
    """The watches of one adapter, which follows a service by `follow`.

    A service is followed while it has watchers. A slow watcher gets several changes as one, so that
    no queue grows while it waits.
    """

    def __init__(self, follow: Follow) -> None:
        self._follow = follow
        self._followed: dict[str, _Followed] = {}
        self._closed = False

    async def watch(self, service: str) -> AsyncGenerator[WatchEvent, None]:
        """Yields the changes, beginning with the instances of the first answer; ends when the adapter is closed."""
        if self._closed:
            return
        followed = self._followed.get(service)
        if followed is None:
            followed = self._followed[service] = _Followed(service, self._follow)
        wake = followed.join()
        delivered: Known = {}
        listed = False
        try:
            while await wake.wait() and not self._closed:
                wake.clear()
                for change in differences(delivered, delivered := followed.latest):
                    yield change
                if followed.answered and not listed:
                    listed = True
                    yield Listed(service)
        finally:
            if followed.part(wake):
                if self._followed.get(service) is followed:
                    del self._followed[service]
                await followed.end()

    async def close(self) -> None:
        """Ends every watch."""
        self._closed = True
        for followed in list(self._followed.values()):
            followed.wake()
            await followed.end()


class _Followed:
    """One service that is followed, and its watchers."""

    def __init__(self, service: str, follow: Follow) -> None:
        self.latest: Known = {}
        self.answered = False
        self._wakes: set[asyncio.Event] = set()
        self._task = asyncio.ensure_future(follow(service, self._publish))

    def _publish(self, latest: Known) -> None:
        if latest != self.latest or not self.answered:
            self.latest, self.answered = latest, True
            self.wake()

    def wake(self) -> None:
        for wake in self._wakes:
            wake.set()

    def join(self) -> asyncio.Event:
        """Adds a watcher; returns an event that is set whenever the instances may have changed."""
        wake = asyncio.Event()
        wake.set()
        self._wakes.add(wake)
        return wake

    def part(self, wake: asyncio.Event) -> bool:
        """Removes a watcher; returns whether none is left."""
        self._wakes.discard(wake)
        return not self._wakes

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
