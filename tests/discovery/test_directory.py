"""The directory: last known instances, callbacks, and what it says when the registry goes away."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import structlog
from prometheus_client import CollectorRegistry

from souk.discovery.directory import Directory
from souk.discovery.embedded.server import EmbeddedRegistry, serving_registry
from souk.discovery.open import open_registry
from souk.discovery.registry import Changed, Instance, Joined, Left, Listed, Registry, WatchEvent
from souk.discovery.static import StaticRegistry
from souk.kernel.clock import SystemClock
from souk.runtime.calls.metrics import measure_directory
from souk.testing.clocks import FakeClock
from souk.testing.registry.embedded import EmbeddedHarness
from souk.testing.registry.harness import PATIENCE, another_process, eventually

ONE, TWO = Instance("order", "order-1", "127.0.0.1:1"), Instance("order", "order-2", "127.0.0.1:2")


class Scripted:
    """A registry that publishes the changes that a test gives it."""

    def __init__(self) -> None:
        self.away = ""
        self.watches = 0
        self._changes: asyncio.Queue[WatchEvent] = asyncio.Queue()

    def publish(self, change: WatchEvent) -> None:
        self._changes.put_nowait(change)

    async def watch(self, service: str) -> AsyncGenerator[WatchEvent, None]:
        self.watches += 1
        try:
            while True:
                yield await self._changes.get()
        finally:
            self.watches -= 1


@pytest.fixture
def registry() -> Scripted:
    return Scripted()


@pytest.fixture
async def directory(registry: Scripted) -> AsyncIterator[Directory]:
    directory = Directory(registry, FakeClock())
    yield directory
    await directory.close()
    assert registry.watches == 0


async def test_it_knows_what_was_told_last(registry: Scripted, directory: Directory) -> None:
    seen: list[tuple[Instance, ...]] = []
    told = asyncio.Event()
    directory.on_change("order", seen.append)
    directory.on_change("order", lambda instances: told.set() if len(seen) == 4 else None)
    assert directory.instances("order") == ()
    other = Instance("order", "order-1", "127.0.0.1:3")
    for change in (Joined(TWO), Joined(ONE), Changed(other), Left(TWO)):
        registry.publish(change)
    await asyncio.wait_for(told.wait(), PATIENCE)
    assert seen == [(TWO,), (ONE, TWO), (other, TWO), (other,)]
    assert directory.instances("order") == (other,)
    assert registry.watches == 1


async def test_it_knows_when_a_service_without_instances_has_none(registry: Scripted, directory: Directory) -> None:
    listed = asyncio.Event()
    assert not directory.is_listed("order")
    directory.on_change("order", lambda instances: listed.set())
    registry.publish(Listed("order"))
    await asyncio.wait_for(listed.wait(), PATIENCE)
    assert directory.is_listed("order")
    assert directory.instances("order") == ()


async def test_a_listener_that_fails_keeps_nothing_from_the_others(registry: Scripted, directory: Directory) -> None:
    def fail(instances: tuple[Instance, ...]) -> None:
        raise ValueError

    seen: list[tuple[Instance, ...]] = []
    directory.on_change("order", fail)
    directory.on_change("order", seen.append)
    registry.publish(Joined(ONE))
    assert await directory.known("order", PATIENCE) == (ONE,)
    assert seen == [(ONE,)]


async def test_it_waits_for_the_first(registry: Scripted, directory: Directory) -> None:
    assert await directory.known("order", 0.01) == ()
    waiting = asyncio.ensure_future(directory.known("order", PATIENCE))
    registry.publish(Joined(ONE))
    assert await waiting == (ONE,)
    assert await directory.known("order", 0) == (ONE,)


async def test_it_says_once_that_the_registry_is_away_and_once_that_it_is_back(
    registry: Scripted, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("souk.discovery.directory.POLL_EVERY", 0.001)
    with structlog.testing.capture_logs() as said:
        registry.publish(Joined(ONE))
        assert await directory.known("order", PATIENCE) == (ONE,)
        registry.away = "nobody listens"
        await eventually(lambda: len(said) == 1)
        assert directory.away == "nobody listens"
        registry.away = "it does not answer"
        assert directory.instances("order") == (ONE,)
        registry.away = ""
        await eventually(lambda: len(said) == 2)
    assert [(entry["event"].split(";")[0], entry["log_level"]) for entry in said] == [
        ("registry is unavailable", "warning"),
        ("registry is back", "info"),
    ]
    assert said[0]["why"] == "nobody listens"


async def test_its_figures(registry: Scripted, directory: Directory) -> None:
    figures = CollectorRegistry()
    measure_directory(figures, directory)
    registry.publish(Joined(ONE))
    await directory.known("order", PATIENCE)
    assert figures.get_sample_value("souk_discovery_instances", {"service": "order"}) == 1
    assert figures.get_sample_value("souk_discovery_registry_away") == 0
    registry.away = "nobody listens"
    assert figures.get_sample_value("souk_discovery_registry_away") == 1


async def test_a_fixed_registry_never_changes() -> None:
    fixed = StaticRegistry({"order": ["127.0.0.1:1", "127.0.0.1:2"]})
    directory = Directory(fixed, SystemClock())
    assert await directory.known("order", PATIENCE) == (ONE, TWO)
    registration = await fixed.register(Instance("order", "order-3", "127.0.0.1:3"))
    await registration.leave()
    assert directory.instances("order") == (ONE, TWO)
    async with aclosing(fixed.watch("order")) as changes:
        assert [await anext(changes) for _ in range(3)] == [Joined(ONE), Joined(TWO), Listed("order")]
        await fixed.close()
        assert [change async for change in changes] == []
    assert fixed.away == ""
    await directory.close()


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[EmbeddedRegistry]:
    async with serving_registry(tmp_path / "r.sock") as embedded:
        yield embedded


@pytest.fixture
async def client(embedded: EmbeddedRegistry) -> AsyncIterator[Registry]:
    client = await open_registry(embedded.url, SystemClock())
    yield client
    await client.close()


async def test_one_that_was_killed_is_gone_as_soon_as_the_registry_knows(
    embedded: EmbeddedRegistry, client: Registry
) -> None:
    """Aim: 100 ms from the registry's knowledge to every directory. Here both are in one process."""
    directory = Directory(client, SystemClock())
    gone, times = asyncio.Event(), {}

    def heard(instances: tuple[Instance, ...]) -> None:
        if not instances:
            times["directory"] = time.perf_counter()
            assert embedded.instances("order") == ()
            gone.set()

    async with another_process(EmbeddedHarness(url=embedded.url), ONE) as process:
        await directory.known("order", PATIENCE)
        directory.on_change("order", heard)
        process.kill()
        times["killed"] = time.perf_counter()
        await embedded.until("order", lambda instances: not instances)
        times["registry"] = time.perf_counter()
        await asyncio.wait_for(gone.wait(), PATIENCE)
    assert directory.instances("order") == ()
    print(
        f"the registry knew {(times['registry'] - times['killed']) * 1_000:.1f} ms after the kill, "
        f"the directory {(times['directory'] - times['registry']) * 1_000:.1f} ms after the registry"
    )
    await directory.close()
