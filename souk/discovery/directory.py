"""The directory of one process: the instances of each service that can be called now.

Static stability: the last known instances stay in use while the registry is away.
Source: Colm MacCarthaigh, "Static stability using Availability Zones" (Amazon Builders' Library).
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

from souk.discovery.diff import Known, applied
from souk.discovery.registry import Instance, InstanceSource, Listed
from souk.kernel.clock import Clock
from souk.telemetry.logs import logger

_log = logger("discovery")

POLL_EVERY = 0.5
"""Seconds between two checks of whether the registry is away, which are only for the log; also the wait before a
failed watch begins again."""

Listener = Callable[[tuple[Instance, ...]], None]


class Directory:
    """The last known instances of each service that was asked for in this process."""

    def __init__(self, registry: InstanceSource, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._entries: dict[str, _ServiceEntry] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._away_since: float | None = None

    @property
    def away(self) -> str:
        """Why the registry cannot be reached now, in one line; empty when it can."""
        return self._registry.away

    def instances(self, service: str) -> tuple[Instance, ...]:
        """Returns the last known instances, in the order of their ids. The first call begins to watch the service."""
        return self._entry(service).instances

    def is_listed(self, service: str) -> bool:
        """Tells whether the registry has answered about a service: only then is one without instances known to have
        none. The first call begins to watch the service."""
        return self._entry(service).listed

    def counts(self) -> dict[str, int]:
        """Counts the known instances of each service that was asked for."""
        return {service: len(entry.instances) for service, entry in self._entries.items()}

    def on_change(self, service: str, callback: Listener) -> Callable[[], None]:
        """Calls `callback` with all instances after each change, and when they are first listed, in the same turn of
        the event loop.

        Returns a function that ends this.
        """
        listeners = self._entry(service).listeners
        listeners.append(callback)

        def end() -> None:
            if callback in listeners:
                listeners.remove(callback)

        return end

    async def known(self, service: str, timeout: float) -> tuple[Instance, ...]:
        """Waits up to `timeout` seconds for an instance. Returns the known instances, or none after the time-out."""
        entry = self._entry(service)
        try:
            async with asyncio.timeout(timeout):
                while not entry.instances:
                    entry.changed.clear()
                    await entry.changed.wait()
        except TimeoutError:
            return ()
        return entry.instances

    async def close(self) -> None:
        """Ends the watches. It does not close the registry; the registry's owner does that."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _entry(self, service: str) -> "_ServiceEntry":
        entry = self._entries.get(service)
        if entry is None:
            entry = self._entries[service] = _ServiceEntry()
            if not self._tasks:
                self._start(self._poll(), "registry's absence")
            self._start(self._watch_again(service, entry), f"instances of {service}")
        return entry

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)

    async def _watch_again(self, service: str, entry: "_ServiceEntry") -> None:
        """Watches a service, and begins again when the watch fails, which is a bug in the adapter."""
        while True:
            try:
                return await self._watch(service, entry)
            except Exception:
                _log.exception("a watch failed", service=service)
            await asyncio.sleep(POLL_EVERY)

    async def _watch(self, service: str, entry: "_ServiceEntry") -> None:
        async with aclosing(self._registry.watch(service)) as changes:
            async for change in changes:
                if isinstance(change, Listed):
                    entry.listed = True
                    entry.take(entry.known)
                else:
                    entry.take(applied(entry.known, change))

    async def _poll(self) -> None:
        while True:
            self._log_absence(self._registry.away)
            await asyncio.sleep(POLL_EVERY)

    def _log_absence(self, away: str) -> None:
        """Logs once when the registry goes away, and once when it is back."""
        if away and self._away_since is None:
            self._away_since = self._clock.monotonic()
            _log.warning("registry is unavailable; the last known instances stay in use", why=away)
        elif not away and self._away_since is not None:
            seconds = round(self._clock.monotonic() - self._away_since, 1)
            self._away_since = None
            _log.info("registry is back", away_seconds=seconds)


class _ServiceEntry:
    """What the directory knows of one service."""

    def __init__(self) -> None:
        self.known: Known = {}
        self.listed = False
        self.instances: tuple[Instance, ...] = ()
        self.listeners: list[Listener] = []
        self.changed = asyncio.Event()

    def take(self, known: Known) -> None:
        """Stores the known instances and calls every listener, even when one of them fails."""
        self.known = known
        self.instances = tuple(known[name] for name in sorted(known))
        self.changed.set()
        for listener in tuple(self.listeners):
            try:
                listener(self.instances)
            except Exception:
                _log.exception("a listener of discovery failed")
