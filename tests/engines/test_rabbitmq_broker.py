"""RabbitMQ as a broker, against a real one: every guarantee of the port, and what only RabbitMQ can do to it."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import aiormq
import pytest
from aiormq.abc import AbstractChannel
from soukapi.v1.event_pb2 import Event

from souk.events.broker import BrokerUnavailable
from souk.events.brokers.by_url import open_broker
from souk.events.brokers.rabbitmq import partition
from souk.events.brokers.rabbitmq.session import Session
from souk.events.brokers.rabbitmq.topology import PARTITIONS, members_of, partition_of, queue_of
from souk.testing.brokers.faults_suite import BrokerFaultsSuite
from souk.testing.brokers.harness import Bus, Recorder, event, never_back, number_of, run_of
from souk.testing.brokers.suite import GROUP, BrokerSuite
from souk.testing.relaying import eventually
from souk.testing.servers.rabbitmq import RabbitMqServer

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("rabbitmq broker")]

GROUPS = [GROUP, "product/index", "analytics/revenue", "late/comer"]
KEY_OF_0 = next(f"key {n}" for n in range(100) if partition_of(f"key {n}") == 0)


class RabbitUnderTest(RabbitMqServer):
    """A RabbitMQ whose connections have a short heartbeat, so that one that is gone is noticed soon."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(folder)
        self.settings = settings or {}

    @property
    def url(self) -> str:
        return super().url + "?heartbeat=5"

    def prepare(self) -> None:
        super().prepare()
        with (self.folder / "rabbitmq.conf").open("a") as lines:
            lines.writelines(f"{name} = {value}\n" for name, value in self.settings.items())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitUnderTest]:
    with RabbitUnderTest(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture
async def bus(server: RabbitUnderTest) -> AsyncIterator[Bus]:
    await server.start()
    bus = Bus(server, open_broker)
    yield bus
    await bus.close()
    await server.start()
    connection = await aiormq.connect(server.url)
    channel = await connection.channel()
    for topic in (bus.topic, f"{bus.topic}-b"):
        for group in GROUPS:
            for number in range(PARTITIONS):
                await channel.queue_delete(queue_of(topic, group, number))
        await channel.exchange_delete(topic)
    await connection.close()


@pytest.fixture
async def declared(bus: Bus, server: RabbitUnderTest) -> Bus:
    await bus.connect().declare(bus.topic, [GROUP])
    await server.settled()
    return bus


@pytest.fixture
async def channel(bus: Bus) -> AsyncIterator[AbstractChannel]:
    """A channel of somebody else."""
    connection = await aiormq.connect(bus.server.url)
    yield await connection.channel()
    await connection.close()


class TestRabbitMq(BrokerSuite, BrokerFaultsSuite):
    """Every guarantee of the port."""

    @pytest.fixture
    async def declared(self, declared: Bus) -> Bus:
        return declared


async def test_it_tells_what_it_guarantees(declared: Bus) -> None:
    broker = declared.connect()
    await broker.declare(declared.topic, [GROUP])
    found = await broker.inspect()
    assert (found.durable, found.ordered, found.largest) == ("", "", 1 << 20)
    assert "before" in found.replays or "after its group was declared" in found.replays


async def test_a_queue_of_another_kind_is_named(bus: Bus, channel: AbstractChannel) -> None:
    await channel.queue_declare(queue_of(bus.topic, GROUP, 3), durable=True)
    broker = bus.connect()
    await broker.declare(bus.topic, [GROUP])
    found = await broker.inspect()
    assert "inequivalent arg" in found.durable
    assert f"{bus.topic}/{GROUP}/3" in found.durable
    assert found.ordered


async def test_consumers_share_the_partitions(declared: Bus) -> None:
    first, second = Recorder(), Recorder()
    keys = [f"key {n}" for n in range(40)]
    assert {partition_of(key) for key in keys} == set(range(PARTITIONS))
    async with declared.consuming(first):
        sent = [event(key, 0) for key in keys]
        await declared.publish(sent)
        await first.has(sent)
        async with declared.consuming(second):
            await eventually(lambda: _shared_out(declared, keys, first, second))


async def _shared_out(declared: Bus, keys: list[str], *recorders: Recorder) -> bool:
    """Publishes an event of each key; whether each consumer handled those of its share, and none of another's."""
    number = 1 + max(number_of(one) for recorder in recorders for one in recorder.handled)
    sent = [event(key, number) for key in keys]
    await declared.publish(sent)
    await eventually(lambda: _all_of(sent, *recorders))
    shares = [{partition_of(one.key) for one in some.handled if number_of(one) == number} for some in recorders]
    return [len(share) for share in shares] == [PARTITIONS // 2] * 2 and not shares[0] & shares[1]


async def _all_of(sent: list[Event], *recorders: Recorder) -> bool:
    return {one.id for one in sent} <= {one for recorder in recorders for one in recorder.ids}


async def test_many_in_hand_come_back_in_order(declared: Bus) -> None:
    sent = run_of("a", range(100))
    await declared.publish(sent)
    stuck = asyncio.Event()
    for start in range(5):

        async def until_stuck(event: Event, last: int = 3 * start) -> None:
            if number_of(event) > last:
                await stuck.wait()

        recorder = Recorder(until_stuck)
        async with declared.consuming(recorder):
            await recorder.until(lambda: bool(recorder.began) and number_of(recorder.began[-1]) > 3 * start)  # noqa: B023
        assert never_back([number_of(one) for one in recorder.began])
    last = Recorder()
    async with declared.consuming(last):
        await last.has(sent[13:])
    assert never_back(last.numbers()["a"])
    assert number_of(last.handled[0]) <= 13


async def test_what_is_being_acknowledged_when_a_consumer_ends_does_not_come_again(
    declared: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()
    acknowledge, stop = partition._acknowledge, Session.stop

    async def slowly(channel: AbstractChannel, tags: list[int]) -> None:
        begun.set()
        await stopped.wait()
        await acknowledge(channel, tags)

    def after_stop(session: Session) -> None:
        stop(session)
        stopped.set()

    monkeypatch.setattr(partition, "_acknowledge", slowly)
    monkeypatch.setattr(Session, "stop", after_stop)
    await declared.publish(run_of("a", [0]))
    async with declared.consuming(Recorder()):
        await begun.wait()
    again = Recorder()
    async with declared.consuming(again):
        await declared.publish(run_of("a", [1]))
        await again.until(lambda: bool(again.handled))
    assert again.numbers() == {"a": [1]}


async def test_an_undeclared_topic_takes_no_event(bus: Bus) -> None:
    publisher = bus.connect()
    with pytest.raises(BrokerUnavailable, match="must be declared"):
        await publisher.publish(bus.topic, run_of("a", range(3)))
    await publisher.declare(bus.topic, [GROUP])
    assert len(await publisher.publish(bus.topic, run_of("a", range(3)))) == 3


async def test_a_topic_without_a_group_takes_events_that_nobody_hears(bus: Bus) -> None:
    publisher = bus.connect()
    await publisher.declare(bus.topic, [])
    assert len(await publisher.publish(bus.topic, run_of("a", range(3)))) == 3


async def test_the_exchange_is_deleted(declared: Bus, channel: AbstractChannel) -> None:
    publisher, recorder = declared.connect(), Recorder()
    await publisher.declare(declared.topic, [GROUP])
    async with declared.consuming(recorder):
        before = run_of("a", range(3))
        await declared.publish(before, broker=publisher)
        await recorder.has(before)
        await channel.exchange_delete(declared.topic)
        with pytest.raises(BrokerUnavailable, match="must be declared"):
            await publisher.publish(declared.topic, run_of("a", [3]))
        after = run_of("a", range(3, 6))
        await declared.publish(after, broker=publisher)
        await recorder.has(after)
    assert never_back(recorder.numbers()["a"])


async def test_a_consumer_makes_a_deleted_exchange_again(declared: Bus, channel: AbstractChannel) -> None:
    publisher, recorder = declared.connect(), Recorder()
    async with declared.consuming(recorder):
        before = run_of("a", range(3))
        await declared.publish(before, broker=publisher)
        await recorder.has(before)
        await channel.exchange_delete(declared.topic)
        after = run_of("a", range(3, 6))
        await declared.publish(after, broker=publisher)
        await recorder.has(after)


async def test_a_queue_is_deleted_while_it_is_consumed(declared: Bus, channel: AbstractChannel) -> None:
    recorder = Recorder()
    async with declared.consuming(recorder):
        before = run_of(KEY_OF_0, range(3))
        await declared.publish(before)
        await recorder.has(before)
        await channel.queue_delete(queue_of(declared.topic, GROUP, 0))
        after = run_of(KEY_OF_0, range(3, 6))
        await declared.publish(after)
        await recorder.has(after)
    assert never_back(recorder.numbers()[KEY_OF_0])


async def test_a_queue_is_purged_while_it_is_consumed(declared: Bus, channel: AbstractChannel) -> None:
    gate = asyncio.Event()

    async def wait(event: Event) -> None:
        await gate.wait()

    recorder = Recorder(wait)
    async with declared.consuming(recorder):
        await declared.publish(run_of(KEY_OF_0, range(100)))
        await recorder.until(lambda: bool(recorder.began))
        await channel.queue_purge(queue_of(declared.topic, GROUP, 0))
        after = run_of(KEY_OF_0, range(100, 103))
        await declared.publish(after)
        gate.set()
        await recorder.has(after)
    numbers = recorder.numbers()[KEY_OF_0]
    assert numbers == sorted(numbers)
    assert numbers[-3:] == [100, 101, 102]


async def test_credentials_are_refused(bus: Bus, server: RabbitUnderTest) -> None:
    bus.open_broker = lambda url: open_broker(url.replace(":guest@", ":wrong@"))
    broker, recorder = bus.connect(), Recorder()
    for asked in (broker.inspect(), broker.declare(bus.topic, [GROUP]), broker.publish(bus.topic, run_of("a", [1]))):
        with pytest.raises(BrokerUnavailable, match="refuses the credentials") as refused:
            await asked
        assert "wrong" not in str(refused.value)
    async with bus.consuming(recorder) as consuming:
        await asyncio.sleep(1.0)
        assert not consuming.done()


async def test_a_paused_broker_takes_no_longer_than_the_limit(declared: Bus, server: RabbitUnderTest) -> None:
    publisher, recorder = declared.connect(), Recorder()
    await declared.publish(run_of("a", [0]), broker=publisher)
    async with declared.consuming(recorder):
        await recorder.until(lambda: bool(recorder.handled))
        server.pause()
        try:
            with pytest.raises(BrokerUnavailable):
                async with asyncio.timeout(120):
                    await publisher.publish(declared.topic, run_of("a", [1]))
            with pytest.raises(BrokerUnavailable):
                async with asyncio.timeout(120):
                    await publisher.backlog(declared.topic, GROUP)
        finally:
            server.resume()
        later = run_of("a", [2])
        await declared.publish(later, broker=publisher)
        await recorder.has(later)


async def test_a_consumer_of_a_paused_broker_ends_at_once(declared: Bus, server: RabbitUnderTest) -> None:
    recorder = Recorder()
    async with declared.consuming(recorder) as consuming:
        await declared.publish(run_of("a", [0]))
        await recorder.until(lambda: bool(recorder.handled))
        server.pause()
        try:
            await asyncio.sleep(1.0)
            consuming.cancel()
            async with asyncio.timeout(120):
                await asyncio.wait([consuming])
        finally:
            server.resume()
        assert consuming.cancelled()


async def test_a_message_that_is_no_event_is_handed_over(declared: Bus, channel: AbstractChannel) -> None:
    recorder = Recorder()
    async with declared.consuming(recorder):
        await channel.basic_publish(b"what is this", exchange=declared.topic, routing_key="0")
        await recorder.until(lambda: bool(recorder.handled))
    assert (recorder.handled[0].type, recorder.handled[0].payload) == ("", b"what is this")
    assert recorder.handled[0].id.startswith(queue_of(declared.topic, GROUP, 0))


async def test_attributes_that_no_frame_takes_are_poison(declared: Bus) -> None:
    (result,) = await declared.connect().publish(declared.topic, [event("k" * 200_000, 1)])
    assert "attributes" in result.poison


async def test_a_memory_alarm_ends_by_the_limit(tmp_path: Path) -> None:
    with RabbitUnderTest(tmp_path, {"vm_memory_high_watermark.absolute": "1MB"}) as server:
        await server.start()
        broker = open_broker(server.url)
        await broker.declare("t", [GROUP])
        with pytest.raises(BrokerUnavailable, match="alarm"):
            async with asyncio.timeout(120):
                await broker.publish("t", run_of("a", range(3)))
        async with asyncio.timeout(120):
            await broker.close()


async def test_a_broker_that_takes_only_small_messages(tmp_path: Path) -> None:
    with RabbitUnderTest(tmp_path, {"max_message_size": "65536"}) as server:
        await server.start()
        bus = Bus(server, open_broker)
        broker = bus.connect()
        assert (await broker.inspect()).largest == 65536
        await broker.declare(bus.topic, [GROUP])
        other = bus.connect()
        sent = [event("big", 1, size=65536), event("big", 2, size=65537), event("big", 3)]
        # This one has not asked the broker before.
        with pytest.raises(BrokerUnavailable, match="larger than configured max size"):
            await other.publish(bus.topic, sent[1:])
        results = {result.event_id: bool(result.poison) for result in await other.publish(bus.topic, sent)}
        assert results == {sent[0].id: False, sent[1].id: True, sent[2].id: False}
        recorder = Recorder()
        async with bus.consuming(recorder):
            await recorder.has([sent[0], sent[2]])
        await bus.close()


async def test_the_queue_of_the_members_goes_with_the_last(declared: Bus, channel: AbstractChannel) -> None:
    recorder = Recorder()
    async with declared.consuming(recorder):
        await declared.publish(run_of("a", [1]))
        await recorder.until(lambda: bool(recorder.handled))
        found = await channel.queue_declare(members_of(declared.topic, GROUP), passive=True)
        assert found.consumer_count == 1
    with pytest.raises(aiormq.exceptions.ChannelNotFoundEntity):
        await channel.queue_declare(members_of(declared.topic, GROUP), passive=True)


async def test_events_that_nobody_subscribes_to_are_done_with(bus: Bus) -> None:
    """They would otherwise wait in their outbox for ever: there is no queue that could take them."""
    publisher, events = bus.connect(), run_of("a", range(3))
    await publisher.declare(bus.topic, [])
    stored = await publisher.publish(bus.topic, events)
    assert [result.event_id for result in stored] == [event.id for event in events]
