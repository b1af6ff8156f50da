"""The registry suite over a real Eureka, and what only Eureka can do."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from souk.discovery.open import open_registry
from souk.discovery.registry import Instance, Registry
from souk.kernel.clock import SystemClock
from souk.testing.clocks import FakeClock
from souk.testing.registry.claims_suite import ClaimSuite
from souk.testing.registry.engines import EngineHarness, eureka
from souk.testing.registry.harness import PATIENCE, eventually, opened, watching
from souk.testing.registry.suite import RegistrySuite, order

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("eureka")]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineHarness]:
    with eureka(tmp_path_factory.mktemp("eureka")) as harness:
        yield harness


@pytest.fixture
async def harness(engine: EngineHarness) -> EngineHarness:
    await engine.start()
    return engine


def url_of(harness: EngineHarness, instance: Instance) -> str:
    return f"{harness.api}/eureka/apps/{instance.service.upper()}/{instance.id}"


class TestEureka(RegistrySuite, ClaimSuite):
    pushes = False

    async def remove(self, harness: EngineHarness, instance: Instance) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.delete(url_of(harness, instance))).raise_for_status()

    async def until_there(self, harness: EngineHarness, instance: Instance) -> None:
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(PATIENCE):
            while (await client.get(url_of(harness, instance))).is_error:
                await asyncio.sleep(0.05)

    async def register_as_others_do(self, harness: EngineHarness, service: str) -> Instance:
        """Registers an instance as Spring's client does: with an HTTP port, and gRPC's in the metadata."""
        said = {
            "instanceId": f"host:{service}:8080",
            "app": service.upper(),
            "hostName": "host.example.test",
            "ipAddr": "10.0.0.1",
            "vipAddress": service.lower(),
            "status": "UP",
            "port": {"$": 8080, "@enabled": "true"},
            "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
            "metadata": {"gRPC_port": "9090", "zone": "eu"},
        }
        async with httpx.AsyncClient(trust_env=False) as client:
            url = f"{harness.api}/eureka/apps/{service.upper()}"
            (await client.post(url, json={"instance": said})).raise_for_status()
        metadata = {"gRPC_port": "9090"}
        return Instance(service, f"host:{service}:8080", "10.0.0.1:9090", zone="eu", metadata=metadata)

    async def test_a_clock_that_jumps_back_makes_nothing_unheard(
        self, harness: EngineHarness, registry: Registry, service: str
    ) -> None:
        clock, changed = FakeClock(SystemClock().now()), replace(order(service), version="2")
        another = replace(order(service), version="3")
        jumping = await open_registry(harness.url, clock)
        async with watching(registry, service) as watcher:
            registration = await jumping.register(order(service))
            await watcher.knows(order(service))
            clock.advance(-3_600)
            await registration.update(changed)
            await watcher.knows(changed)
            await jumping.register(another)
            await watcher.knows(another)
        await jumping.close()

    async def test_a_path_where_no_eureka_is_is_said(self, harness: EngineHarness, service: str) -> None:
        wrong = await open_registry(harness.url.replace("/eureka?", "/nowhere?"), SystemClock())
        async with watching(wrong, service) as watcher:
            await eventually(lambda: "404" in wrong.away)
            assert watcher.changes == []
        await wrong.close()

    async def test_services_whose_names_differ_in_capitals_are_apart(
        self, harness: EngineHarness, registry: Registry, service: str
    ) -> None:
        low, high = order(service.lower()), order(service.upper(), 2)
        async with (
            opened(harness) as announcer,
            watching(registry, low.service) as one,
            watching(registry, high.service) as other,
        ):
            await announcer.register(low)
            await announcer.register(high)
            await one.knows(low)
            await other.knows(high)
