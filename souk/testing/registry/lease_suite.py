"""Tests of registrations: they last as long as their process."""

import asyncio
import signal

import pytest

from souk.discovery.registry import Instance, Joined, Registry
from souk.testing.registry.harness import RegistryHarness, another_process, opened, watching


def wants_registrations(harness: RegistryHarness) -> None:
    """Skips a test for a registry in which instances do not register themselves."""
    if not harness.registers:
        pytest.skip("instances do not register themselves here")


class LeaseSuite:
    """Tests of registrations whose processes run, hang, leave and die. It needs the fixtures of WatchSuite."""

    async def test_a_process_that_is_killed_has_left(
        self, harness: RegistryHarness, registry: Registry, service: str
    ) -> None:
        wants_registrations(harness)
        victim, other = Instance(service, "victim", "127.0.0.1:20001"), Instance(service, "other", "127.0.0.1:20002")
        async with (
            watching(registry, service) as watcher,
            another_process(harness, other),
            another_process(harness, victim) as process,
        ):
            await watcher.knows(harness.expected(victim), harness.expected(other))
            process.kill()
            await watcher.knows(harness.expected(other))
            assert watcher.left == ["victim"]

    async def test_a_process_that_hangs_has_left_until_it_goes_on(
        self, harness: RegistryHarness, registry: Registry, service: str
    ) -> None:
        wants_registrations(harness)
        victim = Instance(service, "victim", "127.0.0.1:20001")
        async with watching(registry, service) as watcher, another_process(harness, victim) as process:
            await watcher.knows(harness.expected(victim))
            process.send_signal(signal.SIGSTOP)
            await watcher.knows()
            process.send_signal(signal.SIGCONT)
            await watcher.knows(harness.expected(victim))

    async def test_a_lease_is_renewed_without_a_word(
        self, harness: RegistryHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        wants_registrations(harness)
        instance = Instance(service, "one", "127.0.0.1:20001")
        await announcer.register(instance)
        async with watching(registry, service) as watcher:
            await watcher.knows(harness.expected(instance))
            await asyncio.sleep(1.5 * harness.lease)  # a plain wait: nothing must be reported
            assert [type(change) for change in watcher.changes] == [Joined]

    async def test_closing_leaves_with_every_registration(
        self, harness: RegistryHarness, registry: Registry, service: str
    ) -> None:
        wants_registrations(harness)
        instances = [Instance(service, f"i{number}", f"127.0.0.1:{20_000 + number}") for number in range(1, 4)]
        async with watching(registry, service) as watcher:
            async with opened(harness) as closing:
                for instance in instances:
                    await closing.register(instance)
                await watcher.knows(*map(harness.expected, instances))
            await watcher.knows()
            assert len(watcher.left) == 3
