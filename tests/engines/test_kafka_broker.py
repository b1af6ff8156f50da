"""Kafka as a broker, against a real one: every guarantee of the port, and what only Kafka can do to it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from soukapi.v1.event_pb2 import Event

from souk.events.broker import BrokerUnavailable
from souk.events.brokers.kafka.broker import KafkaBroker
from souk.events.brokers.kafka.open import open_broker
from souk.events.brokers.kafka.settings import KafkaSettings
from souk.testing.brokers.faults_suite import BrokerFaultsSuite
from souk.testing.brokers.harness import Bus, Recorder, event, number_of, run_of
from souk.testing.brokers.suite import GROUP, BrokerSuite
from souk.testing.free_ports import free_port
from souk.testing.servers.kafka import KafkaServer
from souk.testing.system import until as wait_until

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("kafka broker")]

_SESSIONS = {
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "10000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1000",
}
"""A consumer that died is noticed after 10 s, and not after 45 as by default; a busy machine may be late by less."""
AT_ONCE = 8.0
"""Seconds; less than after which one is noticed that died."""
OUT_AFTER = 10.5
"""Seconds of silence after which a cluster has taken a broker out, with something over."""
_LOGIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_souk="right";'


class KafkaUnderTest(KafkaServer):
    """Kafka as the suite harms it, with a second listener that wants a password."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.secured = f"127.0.0.1:{free_port()}"

    @property
    def url(self) -> str:
        return f"kafka://{self.address}"

    def prepare(self) -> None:
        fresh = not self._data.exists()
        super().prepare()
        if fresh:
            controller = f"CONTROLLER://127.0.0.1:{self._ports[1]}"
            extra = _SESSIONS | {
                "listeners": f"PLAINTEXT://{self.address},SASL_PLAINTEXT://{self.secured},{controller}",
                "listener.security.protocol.map": (
                    "PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT"
                ),
                "sasl.enabled.mechanisms": "PLAIN",
                "listener.name.sasl_plaintext.plain.sasl.jaas.config": _LOGIN,
            }
            with self._settings.open("a") as lines:
                lines.writelines(f"{name}={value}\n" for name, value in extra.items())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaUnderTest]:
    with KafkaUnderTest(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture
async def bus(server: KafkaUnderTest) -> AsyncIterator[Bus]:
    await server.start()
    bus = Bus(server, open_broker)
    yield bus
    await bus.close()


@pytest.fixture
async def declared(bus: Bus) -> Bus:
    await bus.connect().declare(bus.topic, [GROUP])
    return bus


@contextmanager
def admin(server: KafkaUnderTest) -> Iterator[AdminClient]:
    yield AdminClient({"bootstrap.servers": server.address, "log_level": 0})


async def change(server: KafkaUnderTest, topic: str, name: str, value: str) -> None:
    """Changes a setting of a topic as an operator would; returns once the broker itself has it."""

    def run() -> None:
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        with admin(server) as client:
            client.incremental_alter_configs([resource])[resource].result(60)
            asked = ConfigResource(ConfigResource.Type.TOPIC, topic)
            has = lambda: client.describe_configs([asked])[asked].result(60)[name].value == value  # noqa: E731
            wait_until(has, 60, f"{name} is {value}")

    await asyncio.to_thread(run)


async def delete(server: KafkaUnderTest, topic: str) -> None:
    def run() -> None:
        with admin(server) as client:
            client.delete_topics([topic], operation_timeout=60)[topic].result(60)

    await asyncio.to_thread(run)


def quick(server: KafkaUnderTest, patience: float = 2.0) -> KafkaBroker:
    """A broker that gives up soon."""
    return KafkaBroker(KafkaSettings(server.address, patience=patience))


async def until(check: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.02)


class TestKafka(BrokerSuite, BrokerFaultsSuite):
    """Every guarantee of the port."""


async def test_what_is_too_large_is_poison_and_the_others_are_stored(declared: Bus) -> None:
    broker = declared.connect()
    sent = [event("a", 0), event("a", 1, size=3 << 20), event("a", 2)]
    results = await broker.publish(declared.topic, sent)
    assert [result.event_id for result in results] == [one.id for one in sent]
    assert [bool(result.poison) for result in results] == [False, True, False]
    assert "max.message.bytes" in results[1].poison
    assert await broker.backlog(declared.topic, GROUP) == 2


async def test_a_limit_that_was_lowered_makes_poison_and_no_gap(declared: Bus, server: KafkaUnderTest) -> None:
    broker, recorder = declared.connect(), Recorder()
    await declared.publish([event("a", 0)], broker=broker)
    await change(server, declared.topic, "max.message.bytes", "300000")
    sent = [event("a", number, size=400_000 if number == 5 else 2_000) for number in range(1, 1_000)]
    stored: list[Event] = []
    waiting, poison = list(sent), list[str]()
    async with asyncio.timeout(60):
        while waiting:
            try:
                results = await broker.publish(declared.topic, waiting)
            except BrokerUnavailable:
                continue
            poison += [result.event_id for result in results if result.poison]
            done = {result.event_id for result in results}
            waiting = [one for one in waiting if one.id not in done]
    assert poison == [sent[4].id]
    async with declared.consuming(recorder):
        stored = [one for one in sent if one.id not in poison]
        await recorder.has(stored)
    assert list(dict.fromkeys(recorder.numbers()["a"])) == [0, *(number_of(one) for one in stored)]


async def test_a_broker_that_stands_still_ends_no_order(declared: Bus, server: KafkaUnderTest) -> None:
    broker, recorder = quick(server), Recorder()
    sent = [event(f"key {n % 3}", n // 3) for n in range(900)]
    await broker.publish(declared.topic, sent[:300])

    async def publish(events: list[Event]) -> None:
        for start in range(0, len(events), 30):
            await declared.publish(events[start : start + 30], broker=broker)

    publishing = asyncio.create_task(publish(sent[300:]))
    for _ in range(3):
        await asyncio.sleep(0.05)
        server.pause()
        await asyncio.sleep(3.0)
        server.resume()
    await publishing
    async with declared.consuming(recorder):
        await recorder.has(sent)
    await broker.close()
    for key, numbers in recorder.numbers().items():
        assert list(dict.fromkeys(numbers)) == list(range(300)), key


async def test_all_consumers_of_a_group_go_on_after_the_broker_was_out_of_its_cluster(server: KafkaUnderTest) -> None:
    """It is taken for dead after 9 s, and joins its cluster again. Some consumers of topics of one group did not."""
    await server.start()
    recorder = Recorder()
    buses = [Bus(server, open_broker) for _ in range(8)]
    async with AsyncExitStack() as stack:
        for bus in buses:
            stack.push_async_callback(bus.close)
            await bus.connect().declare(bus.topic, [GROUP])
            await stack.enter_async_context(bus.consuming(recorder, GROUP))
        for number in range(2):
            sent = [event(bus.topic, number) for bus in buses]
            for bus, one in zip(buses, sent, strict=True):
                await bus.publish([one])
            await recorder.has(sent)
            if not number:
                server.pause()
                await asyncio.sleep(OUT_AFTER)
                server.resume()


async def test_publishing_ends_within_its_limit_and_says_why(declared: Bus, server: KafkaUnderTest) -> None:
    broker = quick(server)
    await broker.publish(declared.topic, [event("a", 0)])
    server.pause()
    try:
        async with asyncio.timeout(120):
            with pytest.raises(BrokerUnavailable, match=server.address):
                await broker.publish(declared.topic, run_of("a", range(1, 50)))
        async with asyncio.timeout(120):
            await broker.close()
    finally:
        server.resume()


async def test_publishing_that_is_cancelled_leaves_nothing_in_the_way(declared: Bus, server: KafkaUnderTest) -> None:
    broker, recorder = quick(server, 20.0), Recorder()
    sent = run_of("a", range(100))
    await broker.publish(declared.topic, [event("b", 0)])
    server.pause()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await broker.publish(declared.topic, sent)
    server.resume()
    await declared.publish(sent, broker=broker)
    await broker.close()
    async with declared.consuming(recorder):
        await recorder.has(sent)
    assert list(dict.fromkeys(recorder.numbers()["a"])) == list(range(100))


async def test_a_topic_that_nobody_declared_is_refused(bus: Bus) -> None:
    broker = bus.connect()
    with pytest.raises(BrokerUnavailable, match="does not exist; it must be declared"):
        await broker.publish("souk.nothing", [event("a", 0)])
    with pytest.raises(BrokerUnavailable, match="does not exist; it must be declared"):
        await broker.backlog("souk.nothing", GROUP)


async def test_a_consumer_may_come_before_its_topic(bus: Bus) -> None:
    recorder, sent = Recorder(), run_of("a", range(10))
    async with bus.consuming(recorder):
        await asyncio.sleep(1.0)
        await bus.connect().declare(bus.topic, [GROUP])
        await bus.publish(sent)
        await recorder.has(sent)


async def test_a_topic_deleted_in_use_is_made_again(declared: Bus, server: KafkaUnderTest) -> None:
    publisher, recorder = declared.connect(), Recorder()
    await publisher.declare(declared.topic, [GROUP])
    before, after = run_of("a", range(10)), run_of("a", range(10, 20))
    async with declared.consuming(recorder):
        await declared.publish(before, broker=publisher)
        await recorder.has(before)
        await delete(server, declared.topic)
        await declared.publish(after, broker=publisher)
        await recorder.has(after)
    assert await publisher.backlog(declared.topic, GROUP) == 0


async def test_what_is_no_event_is_handed_over_as_it_is(declared: Bus, server: KafkaUnderTest) -> None:
    def produce() -> None:
        producer = Producer({"bootstrap.servers": server.address, "log_level": 0})
        producer.produce(declared.topic, b"\xffraw", b"k\xff", partition=3, headers=[("ce_id", b"1")])
        producer.produce(declared.topic, None, None, partition=3)
        assert producer.flush(60) == 0

    await asyncio.to_thread(produce)
    recorder, sent = Recorder(), event("a", 0)
    await declared.publish([sent])
    async with declared.consuming(recorder):
        await recorder.until(lambda: len(recorder.handled) == 3)
    found = {one.id: one for one in recorder.handled}
    assert found.pop(sent.id) == sent
    assert found == {
        f"{declared.topic}/3/0": Event(id=f"{declared.topic}/3/0", key="k\\xff", payload=b"\xffraw"),
        f"{declared.topic}/3/1": Event(id=f"{declared.topic}/3/1"),
    }


async def test_what_was_handled_before_a_rebalance_does_not_come_again(declared: Bus) -> None:
    first, second = Recorder(), Recorder()
    sent = [event(f"key {n % 40}", n // 40) for n in range(400)]
    async with declared.consuming(first):
        await declared.publish(sent[:200])
        await first.has(sent[:200])
        async with declared.consuming(second):
            while not second.began:
                extra = [event(f"key {n}", 5) for n in range(40)]
                await declared.publish(extra)
                await until(lambda: {one.id for one in extra} <= {*first.ids, *second.ids})  # noqa: B023
        await declared.publish(sent[200:])
        await first.has(sent[200:])
    both = first.ids + second.ids
    assert len(both) == len(set(both))


async def test_who_leaves_hands_over_at_once(declared: Bus) -> None:
    async def hold(event: Event) -> None:
        await asyncio.Event().wait()

    took: list[float] = []
    # The machine may be busy with something else for a moment.
    while len(took) < 5 and min(took, default=AT_ONCE) >= AT_ONCE:
        first, second = Recorder(hold), Recorder()
        sent = [event(f"key {n}", len(took)) for n in range(20)]
        await declared.publish(sent)
        async with declared.consuming(first):
            await first.until(lambda: len(first.began) == 20)  # noqa: B023
        left = time.monotonic()
        async with declared.consuming(second):
            await second.has(sent)
            took.append(time.monotonic() - left)
    assert min(took) < AT_ONCE


async def test_consuming_ends_soon_while_the_broker_is_away(declared: Bus, server: KafkaUnderTest) -> None:
    recorder = Recorder()
    await declared.publish([event("a", 0)])
    task = asyncio.create_task(declared.connect().consume(declared.topic, GROUP, recorder))
    await recorder.until(lambda: len(recorder.handled) == 1)
    server.pause()
    try:
        task.cancel()
        async with asyncio.timeout(120):
            await asyncio.gather(task, return_exceptions=True)
    finally:
        server.resume()


async def test_credentials_that_are_refused_are_named(declared: Bus, server: KafkaUnderTest) -> None:
    right = open_broker(f"kafka://souk:right@{server.secured}?mechanism=PLAIN")
    assert await right.publish(declared.topic, [event("a", 0)])
    await right.close()
    known = KafkaSettings(server.secured, user="souk", password="secret", mechanism="PLAIN", patience=2.0)
    for call in (lambda one: one.publish(declared.topic, [event("a", 0)]), lambda one: one.inspect()):
        wrong = KafkaBroker(known)
        with pytest.raises(BrokerUnavailable, match="it refuses the credentials") as caught:
            await call(wrong)
        assert "secret" not in str(caught.value)
        await wrong.close()


async def test_settings_that_lose_events_are_named(declared: Bus, server: KafkaUnderTest) -> None:
    broker = declared.connect()
    await broker.declare(declared.topic, [GROUP])
    found = await broker.inspect()
    assert (found.durable, found.ordered, found.replays) == ("", "", "")
    assert found.largest >= 1 << 20
    await change(server, declared.topic, "flush.messages", "1000")
    await change(server, declared.topic, "retention.ms", "86400000")
    await change(server, declared.topic, "max.message.bytes", "100000")
    found = await broker.inspect()
    assert "outlives a crash of the broker's process, but a crash of its machine may lose it" in found.durable
    assert "keeps events for 1 d" in found.replays
    assert found.largest < 100_000


async def test_a_topic_that_was_there_keeps_its_settings(declared: Bus, server: KafkaUnderTest) -> None:
    await change(server, declared.topic, "retention.ms", "86400000")
    other = open_broker(f"kafka://{server.address}?partitions=3")
    await other.declare(declared.topic, [GROUP])
    assert "keeps events" in (await other.inspect()).replays
    await other.close()
