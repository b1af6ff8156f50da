"""SQS as a broker, against ElasticMQ: every guarantee of the port, and what only SQS can do to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiobotocore.session import get_session
from soukapi.v1.event_pb2 import Event

from souk.events.broker import BrokerUnavailable
from souk.events.brokers.by_url import open_broker
from souk.events.brokers.sqs.names import queue_name
from souk.testing.brokers.faults_suite import BrokerFaultsSuite
from souk.testing.brokers.harness import Bus, Recorder, event, never_back, number_of, run_of
from souk.testing.brokers.suite import GROUP, BrokerSuite
from souk.testing.servers.elasticmq import ElasticMqServer

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("sqs broker")]

MIXES = (
    "nothing is lost, but a restart of ElasticMQ mixes events of a key that were in hand: it sorts what it restores by "
    "when it becomes visible again (isFifo = false in its DBMessage)"
)
VISIBILITY = 8
"""Seconds; long enough for a loaded machine to prolong it in time."""


class SqsUnderTest:
    """An ElasticMQ whose messages go soon from a consumer that died to another one."""

    def __init__(self, folder: Path) -> None:
        self.engine = ElasticMqServer(folder)

    @property
    def url(self) -> str:
        return f"{self.engine.url.replace('http:', 'sqs:')}?visibility={VISIBILITY}&wait=1"

    async def start(self) -> None:
        await self.engine.start()

    async def stop(self) -> None:
        await self.engine.stop()

    def kill(self) -> None:
        self.engine.kill()

    @asynccontextmanager
    async def queues(self) -> "AsyncIterator[SQSClient]":
        """A client of somebody else."""
        keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
        async with get_session().create_client("sqs", endpoint_url=self.engine.url, **keys) as client:
            yield client


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


@pytest.fixture
async def declared(bus: Bus) -> Bus:
    await bus.connect().declare(bus.topic, [GROUP])
    return bus


class TestSqs(BrokerSuite, BrokerFaultsSuite):
    """Every guarantee of the port."""


async def url_of(client: "SQSClient", bus: Bus, group: str = GROUP) -> str:
    return (await client.get_queue_url(QueueName=queue_name("", bus.topic, group)))["QueueUrl"]


async def test_it_tells_what_it_guarantees(declared: Bus) -> None:
    broker = declared.connect()
    await broker.declare(declared.topic, [GROUP])
    found = await broker.inspect()
    assert (found.durable, found.ordered, found.largest) == ("", "", 774_144)
    assert "after its group was declared" in found.replays


async def test_a_queue_that_takes_events_away_is_named(declared: Bus, server: SqsUnderTest) -> None:
    broker = declared.connect()
    await broker.declare(declared.topic, [GROUP])
    async with server.queues() as client:
        queue, name = await url_of(client, declared), "dead.fifo"
        await client.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})
        policy = {"deadLetterTargetArn": f"arn:aws:sqs:elasticmq:000000000000:{name}", "maxReceiveCount": "3"}
        await client.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": json.dumps(policy)})
    found = await broker.inspect()
    assert "RedrivePolicy" in found.durable
    assert queue_name("", declared.topic, GROUP) in found.durable
    assert found.unfit


async def test_many_in_hand_come_back_in_order(declared: Bus) -> None:
    sent = run_of("a", range(60))
    await declared.publish(sent)
    stuck = asyncio.Event()
    for start in range(4):

        async def until_stuck(event: Event, last: int = 3 * start) -> None:
            if number_of(event) > last:
                await stuck.wait()

        recorder = Recorder(until_stuck)
        async with declared.consuming(recorder):
            await recorder.until(lambda: bool(recorder.began) and number_of(recorder.began[-1]) > 3 * start)  # noqa: B023
        assert never_back([number_of(one) for one in recorder.began])
    last = Recorder()
    async with declared.consuming(last):
        await last.has(sent[10:])
    assert never_back(last.numbers()["a"])
    # What was in hand came at once: long before it would have become visible by itself.
    assert number_of(last.handled[0]) <= 10


async def test_an_event_stays_in_hand_while_its_handler_runs(declared: Bus) -> None:
    async def long(event: Event) -> None:
        await asyncio.sleep(1.6 * VISIBILITY)

    first, second = Recorder(long), Recorder()
    sent = run_of("a", range(2))
    async with declared.consuming(first):
        await declared.publish(sent)
        await first.until(lambda: bool(first.began))
        async with declared.consuming(second):
            await first.until(lambda: bool(first.handled))
            assert not second.began


async def test_an_undeclared_topic_takes_no_event(bus: Bus) -> None:
    publisher = bus.connect()
    with pytest.raises(BrokerUnavailable, match="must be declared"):
        await publisher.publish(bus.topic, run_of("a", range(3)))
    # With nobody to keep an event for, nothing holds it up.
    await publisher.declare(bus.topic, [])
    assert len(await publisher.publish(bus.topic, run_of("a", range(3)))) == 3
    await publisher.declare(bus.topic, [GROUP])
    assert len(await publisher.publish(bus.topic, run_of("a", range(3)))) == 3


async def test_what_is_published_again_on_purpose_comes_again(declared: Bus) -> None:
    (sent,) = run_of("a", [1])
    first, second = declared.connect(), declared.connect()
    for broker in (first, first, second):
        await declared.publish([sent], broker=broker)
    recorder = Recorder()
    async with declared.consuming(recorder):
        await recorder.until(lambda: recorder.ids == [sent.id] * 3)


async def test_what_was_stored_without_an_answer_is_not_stored_again(declared: Bus, server: SqsUnderTest) -> None:
    publisher, sent = declared.connect(), run_of("a", range(3))
    await publisher.publish(declared.topic, [event("warm", 0)])
    server.engine.pause()
    try:
        with pytest.raises(BrokerUnavailable, match="does not answer"):
            async with asyncio.timeout(120):
                await publisher.publish(declared.topic, sent)
    finally:
        server.engine.resume()
    await declared.publish(sent, broker=publisher)
    recorder = Recorder()
    async with declared.consuming(recorder):
        await recorder.has(sent)
        last = event("a", 3)
        await declared.publish([last])
        await recorder.has([last])
    assert recorder.numbers()["a"] == [0, 1, 2, 3]


async def test_a_queue_is_deleted_while_it_is_consumed(declared: Bus, server: SqsUnderTest) -> None:
    recorder = Recorder()
    async with declared.consuming(recorder):
        before = run_of("a", range(3))
        await declared.publish(before)
        await recorder.has(before)
        async with server.queues() as client:
            await client.delete_queue(QueueUrl=await url_of(client, declared))
        # The consumer makes it again; until then nobody may say that an event is stored.
        after = run_of("a", range(3, 6))
        await declared.publish(after)
        await recorder.has(after)
    assert never_back(recorder.numbers()["a"])


async def test_a_publisher_makes_a_deleted_queue_again(bus: Bus, server: SqsUnderTest) -> None:
    publisher, groups = bus.connect(), [GROUP, "product/index"]
    await publisher.declare(bus.topic, groups)
    async with server.queues() as client:
        await client.delete_queue(QueueUrl=await url_of(client, bus))
    sent = run_of("a", range(3))
    await bus.publish(sent, broker=publisher)
    for group in groups:
        recorder = Recorder()
        async with bus.consuming(recorder, group):
            await recorder.has(sent)


async def test_a_queue_is_purged_while_it_is_consumed(declared: Bus, server: SqsUnderTest) -> None:
    gate = asyncio.Event()

    async def wait(event: Event) -> None:
        await gate.wait()

    recorder = Recorder(wait)
    async with declared.consuming(recorder):
        await declared.publish(run_of("a", range(30)))
        await recorder.until(lambda: bool(recorder.began))
        async with server.queues() as client:
            await client.purge_queue(QueueUrl=await url_of(client, declared))
        after = run_of("a", range(100, 103))
        await declared.publish(after)
        gate.set()
        await recorder.has(after)
    # What the consumer had in hand it may finish; what was in the queue is lost; what comes later comes.
    numbers = recorder.numbers()["a"]
    assert numbers == sorted(numbers)
    assert numbers[-3:] == [100, 101, 102]


async def test_a_message_that_is_no_event_is_handed_over(declared: Bus, server: SqsUnderTest) -> None:
    recorder = Recorder()
    async with declared.consuming(recorder):
        async with server.queues() as client:
            await client.send_message(
                QueueUrl=await url_of(client, declared),
                MessageBody="what is this",
                MessageGroupId="g",
                MessageDeduplicationId="d",
            )
        await recorder.until(lambda: bool(recorder.handled))
    assert (recorder.handled[0].type, recorder.handled[0].payload) == ("", b"what is this")


async def test_a_consumer_of_a_paused_broker_ends_soon(declared: Bus, server: SqsUnderTest) -> None:
    recorder = Recorder()
    async with declared.consuming(recorder) as consuming:
        await declared.publish(run_of("a", [0]))
        await recorder.until(lambda: bool(recorder.handled))
        server.engine.pause()
        try:
            consuming.cancel()
            async with asyncio.timeout(120):
                await asyncio.wait([consuming])
        finally:
            server.engine.resume()
        assert consuming.cancelled()
