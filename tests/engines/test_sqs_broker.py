"""SQS as a broker, against ElasticMQ: every guarantee of the port, and what only SQS can do to it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from souk.events.brokers.by_url import open_broker
from souk.testing.brokers.faults_suite import BrokerFaultsSuite
from souk.testing.brokers.harness import Bus
from souk.testing.brokers.suite import BrokerSuite
from souk.testing.servers.elasticmq import ElasticMqServer

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("sqs broker")]

MIXES = (
    "order over a restart of ElasticMQ: it sorts what it restores by when it becomes visible again (isFifo = false in "
    "its DBMessage), which mixes events of a key that were in hand"
)


class SqsUnderTest:
    """An ElasticMQ whose messages go soon from a consumer that died to another one."""

    def __init__(self, folder: Path) -> None:
        self.engine = ElasticMqServer(folder)

    @property
    def url(self) -> str:
        return f"{self.engine.url.replace('http:', 'sqs:')}?visibility=5&wait=1"

    async def start(self) -> None:
        await self.engine.start()

    async def stop(self) -> None:
        await self.engine.stop()

    def kill(self) -> None:
        self.engine.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqsUnderTest]:
    server = SqsUnderTest(tmp_path_factory.mktemp("elasticmq"))
    with server.engine:
        yield server


@pytest.fixture
async def bus(server: SqsUnderTest) -> AsyncIterator[Bus]:
    await server.start()
    bus = Bus(server, open_broker, restart_mixes=MIXES)
    yield bus
    await bus.close()


class TestSqs(BrokerSuite, BrokerFaultsSuite):
    """Every guarantee of the port."""
