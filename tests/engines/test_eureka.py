"""The registry suite over a real Eureka, and what only Eureka can do."""

from collections.abc import Iterator

import pytest

from souk.testing.registry_engines import EngineHarness, eureka
from souk.testing.registry_suite import RegistrySuite

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("eureka")]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineHarness]:
    with eureka(tmp_path_factory.mktemp("eureka")) as harness:
        yield harness


@pytest.fixture
async def harness(engine: EngineHarness) -> EngineHarness:
    await engine.start()
    return engine


class TestEureka(RegistrySuite):
    pass
