"""The registry suite over a real Consul, with its data and without, and what only Consul can do."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from souk.discovery.registry import Instance
from souk.testing.registry.away_suite import AwaySuite
from souk.testing.registry.claims_suite import ClaimSuite
from souk.testing.registry.engines import EngineHarness, consul
from souk.testing.registry.suite import RegistrySuite, WatchSuite

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("consul")]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineHarness]:
    with consul(tmp_path_factory.mktemp("consul")) as harness:
        yield harness


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineHarness]:
    with consul(tmp_path_factory.mktemp("consul-dev"), "-dev") as harness:
        yield harness


@pytest.fixture
async def harness(engine: EngineHarness) -> EngineHarness:
    await engine.start()
    return engine


async def put(harness: EngineHarness, path: str, body: Any = None) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        (await client.put(f"{harness.api}/v1/agent/service/{path}", json=body)).raise_for_status()


class TestConsul(RegistrySuite, ClaimSuite):
    async def remove(self, harness: EngineHarness, instance: Instance) -> None:
        await put(harness, f"deregister/{instance.id}")

    async def register_as_others_do(self, harness: EngineHarness, service: str) -> Instance:
        said = {"Name": service, "ID": f"{service}-go", "Port": 9000, "Meta": {"zone": "eu", "a_2E": "b"}}
        await put(harness, "register", {"Name": service, "ID": f"{service}-no-port"})
        await put(harness, "register", {**said, "Weights": {"Passing": 5, "Warning": 1}})
        return Instance(service, f"{service}-go", "127.0.0.1:9000", zone="eu", weight=5, metadata={"a_2E": "b"})


class TestConsulThatForgets(AwaySuite):
    """A development agent keeps nothing; its index begins anew."""

    service = WatchSuite.service
    registry = WatchSuite.registry
    announcer = WatchSuite.announcer

    @pytest.fixture
    async def harness(self, forgetful: EngineHarness) -> EngineHarness:
        await forgetful.start()
        return forgetful
