"""A topic of SNS in front of the queues, against moto: who gets an event, what is made again, who is refused.

moto keeps nothing over its end, and its queues are no measure of SQS: `test_sqs_broker.py` has the guarantees.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from aiobotocore.session import get_session

from souk.events.broker import BrokerUnavailable
from souk.events.brokers.by_url import open_broker
from souk.events.brokers.sqs.names import topic_name
from souk.testing.brokers.harness import Bus, Recorder, event, run_of
from souk.testing.brokers.suite import GROUP
from souk.testing.servers.moto import MotoServer

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("sns broker")]
GROUPS = [GROUP, "product/index", "analytics/revenue"]


class SnsUnderTest:
    """moto, as SQS and as SNS."""

    def __init__(self, folder: Path) -> None:
        self.engine = MotoServer(folder)

    @property
    def url(self) -> str:
        host = self.engine.url.removeprefix("http://")
        return f"sqs://{host}?sns={host}&wait=1"

    async def start(self) -> None:
        await self.engine.start()

    async def stop(self) -> None:
        await self.engine.stop()

    def kill(self) -> None:
        self.engine.kill()

    @asynccontextmanager
    async def topics(self) -> "AsyncIterator[SNSClient]":
        """A client of somebody else."""
        keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
        async with get_session().create_client("sns", endpoint_url=self.engine.url, **keys) as client:
            yield client

    async def require_credentials(self, after: str) -> None:
        """Lets moto check who asks, from so many requests on."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{self.engine.url}/moto-api/reset-auth", content=after)
            assert answer.is_success


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SnsUnderTest]:
    server = SnsUnderTest(tmp_path_factory.mktemp("moto"))
    with server.engine:
        yield server


@pytest.fixture
async def bus(server: SnsUnderTest) -> AsyncIterator[Bus]:
    await server.start()
    bus = Bus(server, open_broker)
    yield bus
    await bus.close()


async def arns(client: "SNSClient", bus: Bus) -> list[str]:
    found = (await client.list_topics())["Topics"]
    return [topic["TopicArn"] for topic in found if topic["TopicArn"].endswith(f":{topic_name('', bus.topic)}")]


async def test_every_group_gets_every_event_once_and_in_order(bus: Bus) -> None:
    await bus.connect().declare(bus.topic, GROUPS)
    sent = [event(f"key {n % 5}", n // 5) for n in range(50)]
    await bus.publish(sent)
    for group in GROUPS:
        recorder = Recorder()
        async with bus.consuming(recorder, group):
            await recorder.has(sent)
        assert recorder.numbers() == {f"key {key}": list(range(10)) for key in range(5)}


async def test_declaring_again_changes_nothing(bus: Bus, server: SnsUnderTest) -> None:
    sent = run_of("a", range(10))
    await bus.connect().declare(bus.topic, [GROUP])
    await bus.publish(sent)
    await bus.connect().declare(bus.topic, GROUPS)
    async with server.topics() as client:
        (arn,) = await arns(client, bus)
        subscriptions = (await client.list_subscriptions_by_topic(TopicArn=arn))["Subscriptions"]
    assert len(subscriptions) == len(GROUPS)
    recorder = Recorder()
    async with bus.consuming(recorder):
        await recorder.has(sent)


async def test_a_deleted_topic_is_made_again_with_its_subscriptions(bus: Bus, server: SnsUnderTest) -> None:
    publisher, recorder = bus.connect(), Recorder()
    await publisher.declare(bus.topic, GROUPS)
    async with bus.consuming(recorder):
        before = run_of("a", range(3))
        await bus.publish(before, broker=publisher)
        await recorder.has(before)
        async with server.topics() as client:
            (arn,) = await arns(client, bus)
            await client.delete_topic(TopicArn=arn)
        with pytest.raises(BrokerUnavailable, match="does not exist"):
            await publisher.publish(bus.topic, run_of("a", [3]))
        after = run_of("a", range(4, 7))
        await bus.publish(after, broker=publisher)
        await recorder.has(after)
    other = Recorder()
    async with bus.consuming(other, GROUPS[1]):
        await other.has(before + after)


async def test_an_undeclared_topic_takes_no_event(bus: Bus) -> None:
    with pytest.raises(BrokerUnavailable, match="must be declared"):
        await bus.connect().publish(bus.topic, run_of("a", [1]))


async def test_a_message_is_no_larger_than_sns_takes(bus: Bus) -> None:
    broker = bus.connect()
    await broker.declare(bus.topic, [GROUP])
    largest = (await broker.inspect()).largest
    assert largest < 256 << 10
    fits, too_large = event("a", 1, size=largest), event("a", 2, size=largest + 1)
    results = await broker.publish(bus.topic, [fits, too_large])
    assert [bool(result.poison) for result in results] == [False, True]
    recorder = Recorder()
    async with bus.consuming(recorder):
        await recorder.has([fits])


async def test_credentials_are_refused(bus: Bus, server: SnsUnderTest) -> None:
    await bus.connect().declare(bus.topic, [GROUP])
    bus.open_broker = lambda url: open_broker(url.replace("sqs://", "sqs://nobody:hunter2@"))
    broker, recorder = bus.connect(), Recorder()
    await server.require_credentials("0")
    try:
        for asked in (
            lambda: broker.inspect(),
            lambda: broker.declare(bus.topic, [GROUP]),
            lambda: broker.publish(bus.topic, run_of("a", [1])),
            lambda: broker.backlog(bus.topic, GROUP),
        ):
            with pytest.raises(BrokerUnavailable, match="refuses the credentials") as refused:
                await asked()
            assert "hunter2" not in str(refused.value)
        async with bus.consuming(recorder) as consuming:
            await asyncio.sleep(1.0)
            assert not consuming.done()
    finally:
        await server.require_credentials("inf")
