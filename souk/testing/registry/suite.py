"""The conformance suite of the adapters of `souk.discovery.registry`.

A test class derives from RegistrySuite and gives it the fixture `harness`, a started RegistryHarness. Tests may
share one registry, because each uses a service name of its own.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from souk.discovery.registry import Changed, Instance, Joined, Registry
from souk.kernel.errors import ConfigurationError
from souk.testing.registry.away_suite import AwaySuite
from souk.testing.registry.harness import (
    PATIENCE,
    RegistryHarness,
    eventually,
    is_about_an_earlier_loop,
    opened,
    watching,
)
from souk.testing.registry.lease_suite import LeaseSuite

ODD_TEXT = "a=b; c:\"d\" <e&f> 'g' \\ % ü 店 {}"


def order(service: str, number: int = 1) -> Instance:
    """Makes an instance with all optional fields."""
    return Instance(
        service,
        f"{service}-{number}",
        f"127.0.0.1:{20_000 + number}",
        version="1.2.3+4",
        zone="zone-b",
        weight=7,
        metadata={"connect": "20100", "odd_text": ODD_TEXT},
    )


class WatchSuite:
    """Tests of what a watch reports."""

    @pytest.fixture
    def service(self) -> str:
        return f"Odd_name.{secrets.token_hex(6)}-x"

    @pytest.fixture
    async def registry(self, harness: RegistryHarness) -> AsyncIterator[Registry]:
        async with opened(harness) as registry:
            yield registry

    @pytest.fixture
    async def announcer(self, harness: RegistryHarness) -> AsyncIterator[Registry]:
        announcer = await harness.announcer()
        yield announcer
        await announcer.close()

    @pytest.fixture(autouse=True)
    async def nothing_goes_wrong_unseen(self) -> AsyncIterator[None]:
        reported: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, what: reported.append(what))
        yield
        assert [what for what in reported if not is_about_an_earlier_loop(what)] == []

    async def test_one_that_registers_is_told_with_all_that_it_says(
        self, harness: RegistryHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        async with watching(registry, service) as watcher:
            await announcer.register(order(service))
            await watcher.knows(harness.expected(order(service)))
            assert [type(change) for change in watcher.changes] == [Joined]

    async def test_a_watch_begins_with_those_that_are_there(
        self, harness: RegistryHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        instances = [order(service, number) for number in range(1, 9)]
        await asyncio.gather(*(announcer.register(instance) for instance in instances))
        async with watching(registry, service) as watcher:
            await watcher.knows(*map(harness.expected, instances))
            assert {type(change) for change in watcher.changes} == {Joined}

    async def test_a_watch_says_when_all_are_listed(
        self, harness: RegistryHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        """Also if nobody is there; an instance that was registered before is listed then."""
        async with watching(registry, service) as watcher:
            await watcher.until(lambda it: it.listed is not None)
            assert watcher.listed == {}
            await announcer.register(order(service))
            await watcher.knows(harness.expected(order(service)))
            async with watching(registry, service) as later:
                await later.until(lambda it: it.listed is not None)
                assert later.listed == watcher.known

    async def test_a_change_is_told_under_the_same_id(
        self, harness: RegistryHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        changed = replace(
            order(service), address="127.0.0.1:20002", version="2", zone="", weight=9, metadata={"connect": "1"}
        )
        async with watching(registry, service) as watcher:
            registration = await announcer.register(order(service))
            await watcher.knows(harness.expected(order(service)))
            await registration.update(changed)
            await watcher.knows(harness.expected(changed))
            assert [type(change) for change in watcher.changes] == [Joined, Changed]

    async def test_one_that_leaves_is_told_once_and_may_come_again(
        self, harness: RegistryHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        async with watching(registry, service) as watcher:
            registration = await announcer.register(order(service))
            await watcher.knows(harness.expected(order(service)))
            await registration.leave()
            await registration.leave()
            await watcher.knows()
            await announcer.register(order(service))
            await watcher.knows(harness.expected(order(service)))
            assert len(watcher.left) == 1

    async def test_one_that_is_not_healthy_has_left_until_it_is(
        self, harness: RegistryHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        async with watching(registry, service) as watcher:
            registration = await announcer.register(order(service))
            await watcher.knows(harness.expected(order(service)))
            await registration.set_healthy(False)
            await watcher.knows()
            changed = replace(order(service), weight=3)
            await registration.update(changed)
            await registration.set_healthy(True)
            await watcher.until(lambda it: list(it.known.values()) == [harness.expected(changed)])

    async def test_one_that_registers_twice_is_seen_once(
        self, harness: RegistryHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        last = order(service, 2)
        async with watching(registry, service) as watcher:
            await announcer.register(order(service))
            await announcer.register(order(service))
            await announcer.register(last)
            await watcher.knows(harness.expected(order(service)), harness.expected(last))
            assert [type(change) for change in watcher.changes] == [Joined, Joined]

    async def test_services_with_names_alike_are_apart(
        self, harness: RegistryHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        names = [service, f"{service}-2", f"{service}.2", f"{service}x"]
        async with AsyncExitStack() as stack:
            watchers = [await stack.enter_async_context(watching(registry, name)) for name in names]
            for number, name in enumerate(names, 1):
                await announcer.register(order(name, number))
            for number, (name, watcher) in enumerate(zip(names, watchers, strict=True), 1):
                await watcher.knows(harness.expected(order(name, number)))

    async def test_many_watch_and_each_may_go(
        self, harness: RegistryHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        first, second = order(service), order(service, 2)
        async with AsyncExitStack() as stack:
            staying = [await stack.enter_async_context(watching(registry, service)) for _ in range(20)]
            async with watching(registry, service) as going:
                await announcer.register(first)
                for watcher in [*staying, going]:
                    await watcher.knows(harness.expected(first))
            await announcer.register(second)
            for watcher in staying:
                await watcher.knows(harness.expected(first), harness.expected(second))
            assert len(going.known) == 1

    async def test_closing_ends_every_watch(
        self, harness: RegistryHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        async with watching(registry, service) as one, watching(registry, f"{service}-other") as other:
            await announcer.register(order(service))
            await one.knows(harness.expected(order(service)))
            await registry.close()
            await one.until(lambda watcher: watcher.ended)
            await other.until(lambda watcher: watcher.ended)
            assert one.left == []

    async def test_a_watch_that_is_closed_leaves_nothing_behind(
        self, harness: RegistryHarness, registry: Registry, announcer: Registry, service: str
    ) -> None:
        await announcer.register(order(service))
        async with watching(registry, service) as watcher:
            await watcher.knows(harness.expected(order(service)))
        before = len(asyncio.all_tasks())
        changes = registry.watch(service)
        assert await asyncio.wait_for(anext(changes), PATIENCE) == Joined(harness.expected(order(service)))
        await changes.aclose()
        # The registry itself may run in this process, and needs time to notice.
        await eventually(lambda: len(asyncio.all_tasks()) <= before)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"id": "order 1"},
            {"id": ""},
            {"service": "o/rder"},
            {"address": "127.0.0.1"},
            {"address": "127.0.0.1:0"},
            {"address": "127.0.0.1:70000"},
            {"weight": 0},
            {"weight": 1_001},
            {"metadata": {"a b": "c"}},
            {"metadata": {"a": "c" * 513}},
            {"zone": "line\nline"},
        ],
    )
    async def test_what_no_registry_can_hold_is_refused(
        self, registry: Registry, service: str, wrong: dict[str, Any]
    ) -> None:
        with pytest.raises(ConfigurationError, match="cannot be registered"):
            await registry.register(replace(order(service), **wrong))


class RegistrySuite(WatchSuite, LeaseSuite, AwaySuite):
    """All tests of a registry."""
