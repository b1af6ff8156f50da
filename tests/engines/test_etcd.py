"""The registry suite over a real etcd, and what only etcd can do."""

from collections.abc import Iterator

import pytest

from souk.testing.registry_engines import EngineHarness, etcd
from souk.testing.registry_suite import RegistrySuite

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("etcd")]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineHarness]:
    with etcd(tmp_path_factory.mktemp("etcd")) as harness:
        yield harness


@pytest.fixture
async def harness(engine: EngineHarness) -> EngineHarness:
    await engine.start()
    return engine


class TestEtcd(RegistrySuite):
    pass
