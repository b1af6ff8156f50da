"""Several members of a real etcd behind one URL: one of them is killed, or hangs, and everything goes on."""

import asyncio
import os
import secrets
import signal
from collections.abc import Iterator

import pytest

from souk.discovery.open import open_registry
from souk.discovery.registry import Instance
from souk.kernel.clock import SystemClock
from souk.testing.engines import EngineProcess
from souk.testing.registry.cluster import ClusterHarness, etcd_cluster
from souk.testing.registry.harness import another_process, eventually, opened, watching
from souk.testing.registry.suite import order

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("etcd cluster")]

LEASE = 12
"""Seconds, within which a call to a member that hangs is given up, and made to another."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterHarness]:
    with etcd_cluster(tmp_path_factory.mktemp("etcd"), LEASE) as harness:
        yield harness


@pytest.fixture
async def harness(engine: ClusterHarness) -> ClusterHarness:
    await engine.start()
    return engine


@pytest.fixture
def service() -> str:
    return f"service-{secrets.token_hex(6)}"


def hang(member: EngineProcess, signalled: int) -> None:
    """Pauses a member, or lets it continue."""
    assert member._process is not None
    os.kill(member._process.pid, signalled)


async def test_members_are_killed_one_after_the_other(harness: ClusterHarness, service: str) -> None:
    async with opened(harness) as registry, watching(registry, service) as watcher:
        await registry.register(order(service, 1))
        await watcher.knows(order(service, 1))
        for number, member in enumerate(harness.members, 2):
            member.kill()
            await registry.register(order(service, number))
            await watcher.until(lambda it, wanted=number: len(it.known) == wanted)
            await eventually(lambda: registry.away == "")
            await harness.start()
        assert watcher.left == []


async def test_a_registration_outlives_the_member_that_granted_its_lease(harness: ClusterHarness, service: str) -> None:
    instance = Instance(service, "1", "127.0.0.1:1")
    async with (
        opened(harness) as registry,
        another_process(harness, instance) as process,
        watching(registry, service) as watcher,
    ):
        await watcher.knows(instance)
        harness.members[0].kill()
        await asyncio.sleep(1.5 * LEASE)  # nothing tells that a lease did not run out
        assert watcher.left == []
        process.kill()
        await watcher.knows()


async def test_one_that_opens_while_the_first_is_away_never_calls_the_cluster_away(
    harness: ClusterHarness, service: str
) -> None:
    await harness.lose(harness.members[0])
    async with opened(harness) as registry, watching(registry, service) as watcher:
        await registry.register(order(service, 1))
        assert registry.away == ""
        await watcher.knows(order(service, 1))
        assert registry.away == ""


async def test_one_that_hangs_is_left_for_another(harness: ClusterHarness, service: str) -> None:
    first = harness.members[0]
    async with opened(harness) as registry, watching(registry, service) as watcher:
        await registry.register(order(service, 1))
        await watcher.knows(order(service, 1))
        hang(first, signal.SIGSTOP)
        try:
            places = harness.url.removeprefix("etcd://").partition("?")[0].split(",")
            other = await open_registry(f"etcd://{places[1]}?lease={LEASE}", SystemClock())
            await other.register(order(service, 2))
            await watcher.knows(order(service, 1), order(service, 2))
            await eventually(lambda: registry.away == "")
            assert watcher.left == []
            await other.close()
        finally:
            hang(first, signal.SIGCONT)


async def test_all_of_them_away_is_said_in_a_line(harness: ClusterHarness, service: str) -> None:
    await harness.stop()
    async with opened(harness) as registry, watching(registry, service) as watcher:
        await eventually(lambda: "cannot be reached" in registry.away)
        await harness.start()
        await registry.register(order(service, 1))
        await watcher.knows(order(service, 1))
