"""The routes file of a running gateway: read at its start, and again when it changes or when someone asks for it.

A request takes one table at its beginning, so it is answered by the old one or by the new one, whole. A file that is
wrong changes nothing: the last one that was right stays in force.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge

from souk.gateway.routing.model import RoutesFile, RoutesFileRefused
from souk.gateway.routing.reading.document import load
from souk.telemetry.logs import logger
from souk.telemetry.metrics import counter

EVERY = 0.5
"""Seconds between two looks at the file. It is read once two looks in turn have seen it the same."""
_LOADED, _REFUSED = "loaded", "refused"

Signature = tuple[int, int, int] | None


Apply = Callable[[RoutesFile], Awaitable[None]]
"""Puts a file that was read into force, at once. Raises RoutesFileRefused, and changes nothing, if it does not fit."""


def signature(path: Path) -> Signature:
    """Gives what changes when the file changes; None while it cannot be looked at."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)


class LiveRoutes:
    """The file at `path`; `apply` puts it into force. Nothing is in force before `start`.

    `signature_of` gives what changes when the file does.
    """

    def __init__(
        self,
        path: Path,
        apply: Apply,
        registry: CollectorRegistry,
        signature_of: "Callable[[Path], Signature]" = signature,
    ) -> None:
        self.path, self._apply, self._signature_of = path, apply, signature_of
        self._log = logger("gateway")
        self._loads = counter("souk_gateway_routes_loads", "Loads of the routes file, by result.", ("result",))
        registry.register(self._loads)
        self._refused = Gauge(
            "souk_gateway_routes_refused",
            "1 while the routes file is wrong and an older one is in force.",
            registry=registry,
        )
        self._loading, self._asked = asyncio.Lock(), asyncio.Event()
        self._loads.labels(_REFUSED)
        self._signature: Signature = None

    async def start(self) -> None:
        """Puts the file into force for the first time. Raises RoutesFileRefused."""
        self._signature = self._signature_of(self.path)
        await self._apply(await asyncio.to_thread(load, self.path))
        self._loads.labels(_LOADED).inc()

    async def reload(self, why: str) -> RoutesFile:
        """Reads the file again and puts it into force; returns it. Raises RoutesFileRefused, and the old one stays."""
        async with self._loading:
            self._signature = await asyncio.to_thread(self._signature_of, self.path)
            try:
                # In a thread, as a long file takes longer to read than a request may wait.
                file = await asyncio.to_thread(load, self.path)
                await self._apply(file)
            except RoutesFileRefused as refused:
                self._loads.labels(_REFUSED).inc()
                self._refused.set(1)
                self._log.error("routes file refused", file=str(self.path), why=why, errors=str(refused).splitlines())
                raise
            self._loads.labels(_LOADED).inc()
            self._refused.set(0)
            self._log.info("routes file loaded", file=str(self.path), why=why, rules=count_rules(file))
            return file

    async def watch(self) -> None:
        """Reloads the file when it has changed, until it is cancelled.

        Editors put a new file in place of the old one, and Kubernetes another target of a link: so the path is looked
        at anew each time. A file that is still being written is left until it stays as it is.
        """
        last = self._signature
        while True:
            asked = await self._asked_within(EVERY)
            now = await asyncio.to_thread(self._signature_of, self.path)
            if asked:
                await self._reload("a signal asks for it")
            elif now == last and now not in (None, self._signature):
                await self._reload("the file has changed")
            last = now

    def ask(self) -> None:
        """Has `watch` reload the file now, whether it has changed or not."""
        self._asked.set()

    async def _asked_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    async def _reload(self, why: str) -> None:
        with suppress(RoutesFileRefused):  # logged and counted; it is read again when it changes again
            await self.reload(why)


def count_rules(file: RoutesFile) -> int:
    """Gives the number of rules in a file."""
    return sum(len(route.rules) for route in file.routes)
