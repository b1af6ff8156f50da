"""Tests of a registry that is unavailable: no change is reported because of it, and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from souk.discovery.registry import Instance, Registry
from souk.testing.registry.harness import (
    PATIENCE,
    RegistryHarness,
    another_process,
    eventually,
    opened,
    watching,
)
from souk.testing.registry.lease_suite import wants_registrations


def numbered(service: str, number: int) -> Instance:
    """Makes an instance without any optional field."""
    return Instance(service, f"n{number}", f"127.0.0.1:{20_000 + number}")


class AwaySuite:
    """Tests of a registry that is unavailable, at start or later, and returns. It needs the fixtures of WatchSuite."""

    @pytest.fixture
    async def away_registry(self, harness: RegistryHarness) -> AsyncIterator[Registry]:
        await harness.stop()
        async with opened(harness) as registry:
            yield registry

    async def test_away_at_start(self, harness: RegistryHarness, away_registry: Registry, service: str) -> None:
        async with watching(away_registry, service) as watcher:
            await asyncio.wait_for(away_registry.register(numbered(service, 1)), PATIENCE)
            await eventually(lambda: away_registry.away != "")
            assert "\n" not in away_registry.away
            assert watcher.changes == []
            assert watcher.listed is None
            await harness.start()
            announcer = await harness.announcer()
            if not harness.registers:
                await announcer.register(numbered(service, 1))
            await watcher.knows(harness.expected(numbered(service, 1)))
            await eventually(lambda: away_registry.away == "")
            await announcer.close()

    async def test_nothing_is_told_while_it_is_away_or_because_it_was(
        self, harness: RegistryHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        first, second, third = (numbered(service, number) for number in (1, 2, 3))
        await announcer.register(first)
        await announcer.register(second)
        async with watching(registry, service) as watcher:
            await watcher.knows(harness.expected(first), harness.expected(second))
            assert registry.away == ""
            await harness.stop()
            await eventually(lambda: registry.away != "")
            await harness.start()
            await eventually(lambda: registry.away == "")
            await announcer.register(third)
            await watcher.knows(*map(harness.expected, (first, second, third)))
            await harness.settled()
            assert watcher.left == []

    async def test_a_registration_is_made_again_by_itself(
        self, harness: RegistryHarness, announcer: Registry, service: str
    ) -> None:
        wants_registrations(harness)
        await announcer.register(numbered(service, 1))
        await harness.stop()
        await harness.start()
        async with opened(harness) as another, watching(another, service) as watcher:
            await watcher.knows(harness.expected(numbered(service, 1)))

    async def test_what_changed_meanwhile_is_told_when_it_is_back(
        self, harness: RegistryHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        wants_registrations(harness)
        staying, changed = numbered(service, 1), Instance(service, "n2", "127.0.0.1:20012")
        await announcer.register(staying)
        changing = await announcer.register(numbered(service, 2))
        leaving = await announcer.register(numbered(service, 3))
        async with (
            watching(registry, service) as watcher,
            another_process(harness, numbered(service, 4)) as process,
        ):
            await watcher.knows(*(harness.expected(numbered(service, number)) for number in (1, 2, 3, 4)))
            await harness.stop()
            process.kill()
            await process.wait()
            await asyncio.wait_for(changing.update(changed), PATIENCE)
            await asyncio.wait_for(leaving.leave(), PATIENCE)
            assert watcher.left == []
            await harness.start()
            await watcher.knows(harness.expected(staying), harness.expected(changed))
            assert sorted(watcher.left) == ["n3", "n4"]

    async def test_it_is_closed_while_it_is_away(
        self, harness: RegistryHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        await announcer.register(numbered(service, 1))
        async with watching(registry, service) as watcher:
            await watcher.knows(harness.expected(numbered(service, 1)))
            if harness.registers:
                await registry.register(numbered(service, 2))
            await harness.stop()
            await asyncio.wait_for(registry.close(), PATIENCE)
            await watcher.until(lambda it: it.ended)
