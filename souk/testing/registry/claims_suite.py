"""Tests of an external registry that others use too: instances that others take over, remove or register."""

import asyncio
import time
from abc import abstractmethod
from dataclasses import replace

from souk.discovery.registry import Instance, Left, Registry
from souk.testing.registry.engines import EngineHarness
from souk.testing.registry.harness import opened, watching
from souk.testing.registry.suite import order

SOON = 3.0
"""Seconds within which a registry that pushes changes reports that an instance left; far less than a lease."""


class ClaimSuite:
    """Tests with several clients of one registry. It needs the fixtures of WatchSuite."""

    pushes = True

    @abstractmethod
    async def remove(self, harness: EngineHarness, instance: Instance) -> None:
        """Removes an instance by the registry's own API, without its client."""

    async def until_there(self, harness: EngineHarness, instance: Instance) -> None:
        """Waits until the registry's own API has the instance, for registries whose watch may miss its absence."""

    @abstractmethod
    async def register_as_others_do(self, harness: EngineHarness, service: str) -> Instance:
        """Registers an instance without Souk; returns the instance that a watch must report."""

    async def test_a_later_registration_takes_the_id_over(
        self, harness: EngineHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        old, new = order(service), replace(order(service), address="127.0.0.1:20009", version="9")
        async with watching(registry, service) as watcher, opened(harness) as later:
            first = await announcer.register(old)
            await watcher.knows(old)
            second = await later.register(new)
            await watcher.knows(new)
            await first.update(replace(old, zone="nowhere"))
            await first.leave()
            await second.update(replace(new, zone="last"))
            await watcher.knows(replace(new, zone="last"))
            assert watcher.left == []
            await second.leave()
            await watcher.knows()

    async def test_one_that_somebody_removed_comes_back(
        self, harness: EngineHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        async with watching(registry, service) as watcher:
            await announcer.register(order(service))
            await watcher.knows(order(service))
            await self.remove(harness, order(service))
            if self.pushes:  # polling may miss that it was gone
                await watcher.until(lambda it: bool(it.left))
            await self.until_there(harness, order(service))
            await watcher.knows(order(service))

    async def test_one_that_others_registered_is_told(
        self, harness: EngineHarness, registry: Registry, service: str
    ) -> None:
        async with watching(registry, service) as watcher:
            await watcher.knows(await self.register_as_others_do(harness, service))

    async def test_many_instances(
        self, harness: EngineHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        instances = [order(service, number) for number in range(1, harness.many + 1)]
        async with watching(registry, service) as watcher:
            for some in range(0, harness.many, 25):
                await asyncio.gather(*(announcer.register(one) for one in instances[some : some + 25]))
            await watcher.knows(*instances)

    async def test_a_leave_is_told_soon(
        self, harness: EngineHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        took = []
        async with watching(registry, service) as watcher:
            for _ in range(5):
                registration = await announcer.register(order(service))
                await watcher.knows(order(service))
                began = time.monotonic()
                await registration.leave()
                await watcher.knows()
                took.append(time.monotonic() - began)
        assert sum(isinstance(change, Left) for change in watcher.changes) == 5
        # The machine may be busy with something else for a moment.
        assert not self.pushes or min(took) < SOON, took
