"""The registry suite over a real Consul, and what only Consul can do."""

from collections.abc import Iterator

import pytest

from souk.testing.registry_engines import EngineHarness, consul
from souk.testing.registry_suite import RegistrySuite

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("consul")]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineHarness]:
    with consul(tmp_path_factory.mktemp("consul")) as harness:
        yield harness


@pytest.fixture
async def harness(engine: EngineHarness) -> EngineHarness:
    await engine.start()
    return engine


class TestConsul(RegistrySuite):
    pass
