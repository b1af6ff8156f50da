"""Helpers for tests of a registry: a harness that starts and stops it, and a watcher of one service."""

import asyncio
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from souk.discovery.diff import applied
from souk.discovery.open import open_registry
from souk.discovery.registry import Change, Changed, Instance, Joined, Left, Listed, Registry, WatchEvent
from souk.kernel.clock import SystemClock

PATIENCE = 180.0
"""Seconds after which an expected event that did not happen fails the test."""

ALL = frozenset({"version", "zone", "weight", "metadata"})


def is_about_an_earlier_loop(what: Mapping[str, Any]) -> bool:
    """Whether gRPC, which has one queue for all loops of a process, found an answer for the loop of an earlier test."""
    return "PollerCompletionQueue" in what["message"] and "Event loop is closed" in str(what.get("exception"))


@dataclass
class RegistryHarness(ABC):
    """One registry under test. A test class provides it, started, as the fixture `harness`.

    url: the URL for `open_registry`; it stays the same over a restart.
    lease: the most seconds until an instance that was killed is reported as left.
    tells: the optional fields of an instance that the registry can hold.
    registers: whether instances register themselves. Where they do not, `announcer` is the test's own way to
    change the registry's content, and tests of registrations are skipped.
    many: the number of instances in the test that registers many of one service.
    """

    url: str = ""
    lease: float = 10.0
    carries: frozenset[str] = ALL
    registers: bool = True
    many: int = 150

    @abstractmethod
    async def start(self) -> None:
        """Starts the registry at its address, with or without its former content; returns when it answers."""

    @abstractmethod
    async def stop(self) -> None:
        """Kills the registry; returns when it no longer answers."""

    async def settled(self) -> None:
        """Waits, after a restart, until the registry must know which instances live and which have gone."""
        await asyncio.sleep(1.5 * self.lease)

    async def open(self) -> Registry:
        """Opens the adapter under test."""
        return await open_registry(self.url, SystemClock())

    async def announcer(self) -> Registry:
        """Opens another client of the same registry, by which instances are registered."""
        return await self.open()

    def expected(self, instance: Instance) -> Instance:
        """Returns the instance as a watch must report it."""
        plain = Instance(instance.service, instance.id, instance.address)
        return replace(plain, **{name: getattr(instance, name) for name in self.carries})


@dataclass
class Watcher:
    """Watches one service, and finds changes that contradict what was reported before; `wrong` is the first.

    `listed` are the instances that were known when the registry had listed all; None until then.
    """

    changes: list[Change] = field(default_factory=list)
    known: dict[str, Instance] = field(default_factory=dict)
    listed: dict[str, Instance] | None = None
    ended: bool = False
    wrong: str = ""
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def follow(self, registry: Registry, service: str) -> None:
        """Watches until the registry is closed or the task is cancelled."""
        async with aclosing(registry.watch(service)) as changes:
            async for change in changes:
                async with self._changed:
                    self._take(change)
                    self._changed.notify_all()
        async with self._changed:
            self.ended = True
            self._changed.notify_all()

    def _take(self, change: WatchEvent) -> None:
        if isinstance(change, Listed):
            if self.listed is not None:
                self.wrong = self.wrong or "a watch was listed twice"
            self.listed = dict(self.known)
            return
        before = self.known.get(change.instance.id)
        fits = {
            Joined: before is None,
            Changed: before is not None and before != change.instance,
            Left: before is not None,
        }
        if not fits[type(change)]:
            self.wrong = self.wrong or f"{change} was told when {before} was known"
        self.changes.append(change)
        self.known = applied(self.known, change)

    async def until(self, check: Callable[["Watcher"], bool]) -> None:
        """Waits until `check` holds; it is called after each change."""
        try:
            async with asyncio.timeout(PATIENCE), self._changed:
                await self._changed.wait_for(lambda: self.wrong or check(self))
        except TimeoutError:
            raise AssertionError(f"never told; known is {self.known}, after {self.changes}") from None
        assert not self.wrong, self.wrong

    async def knows(self, *instances: Instance) -> None:
        """Waits until exactly these instances are known."""
        expected = {instance.id: instance for instance in instances}
        await self.until(lambda watcher: watcher.known == expected)

    @property
    def left(self) -> list[str]:
        """The ids of the instances that were reported as left."""
        return [change.instance.id for change in self.changes if isinstance(change, Left)]


@asynccontextmanager
async def watching(registry: Registry, service: str) -> AsyncIterator[Watcher]:
    """Watches a service inside the block; errors and contradictions are raised at its end."""
    watcher = Watcher()
    task = asyncio.ensure_future(watcher.follow(registry, service))
    try:
        yield watcher
        assert not watcher.wrong, watcher.wrong
    finally:
        task.cancel()
        failed = (await asyncio.gather(task, return_exceptions=True))[0]
    if isinstance(failed, Exception):
        raise failed


@asynccontextmanager
async def opened(harness: RegistryHarness) -> AsyncIterator[Registry]:
    """Opens a client and closes it at the end."""
    registry = await harness.open()
    try:
        yield registry
    finally:
        await registry.close()


@asynccontextmanager
async def another_process(harness: RegistryHarness, instance: Instance) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs a process that has registered an instance and keeps its lease; it is killed at the end."""
    arguments = (harness.url, instance.service, instance.id, instance.address)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "souk.testing.registry.victim", *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
        assert line == b"registered\n", f"the process that registers has failed: {line!r}"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def eventually(check: Callable[[], bool]) -> None:
    """Polls until `check` holds, for conditions that nothing signals."""
    async with asyncio.timeout(PATIENCE):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
