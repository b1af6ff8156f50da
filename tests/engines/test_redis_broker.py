"""Redis Streams as a broker, against a real Valkey."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from zlib import crc32

import pytest
from redis.asyncio import Redis
from soukapi.v1.event_pb2 import Event

from souk.events.broker import BrokerUnavailable
from souk.events.brokers.by_url import open_broker
from souk.events.brokers.redis_streams.ownership import STREAMS, stream_of
from souk.kernel.errors import ConfigurationError
from souk.testing.brokers.faults_suite import BrokerFaultsSuite
from souk.testing.brokers.harness import Bus, Recorder, event, run_of
from souk.testing.brokers.suite import GROUP, BrokerSuite
from souk.testing.servers.valkey import DurableValkeyServer

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("redis broker")]

LEASE = "?lease=5"
SAME_STREAM = (
    "held",
    next(f"key {n}" for n in range(1_000) if (crc32(f"key {n}".encode()) - crc32(b"held")) % STREAMS == 0),
)
"""Two keys of one stream."""


async def state(bus: Bus) -> list[tuple[str, int, int]]:
    """Where the group stands in the stream of these keys, how many entries are pending, and how many behind that."""
    async with Redis.from_url(bus.server.url.removesuffix(LEASE)) as client:
        groups = await client.xinfo_groups(stream_of(bus.topic, crc32(SAME_STREAM[0].encode()) % STREAMS))
    return [(group["last-delivered-id"].decode(), group["pending"], group["lag"]) for group in groups]


async def until_it_is(wanted: int, value: Callable[[], Awaitable[int]]) -> None:
    async with asyncio.timeout(120):
        while await value() != wanted:
            await asyncio.sleep(0.02)


class ValkeyUnderTest(DurableValkeyServer):
    """A Valkey whose consumers have a short lease, so that one that is gone is noticed soon."""

    @property
    def url(self) -> str:
        return super().url + LEASE


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ValkeyUnderTest]:
    with ValkeyUnderTest(tmp_path) as server:
        await server.start()
        yield server


@pytest.fixture
async def bus(server: ValkeyUnderTest) -> AsyncIterator[Bus]:
    bus = Bus(server, open_broker)
    yield bus
    await bus.close()


class TestRedisStreams(BrokerSuite, BrokerFaultsSuite):
    """Every guarantee of the port."""


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"appendonly": "no"}, "appendonly is off"),
        ({"appendfsync": "everysec"}, "appendfsync is everysec"),
        ({"maxmemory-policy": "allkeys-lru"}, "maxmemory-policy is allkeys-lru"),
        ({"maxmemory-policy": "allkeys-lru", "maxmemory": "0"}, ""),
        ({}, ""),
    ],
)
async def test_settings_that_lose_events_are_named(tmp_path: Path, settings: dict[str, str], says: str) -> None:
    with DurableValkeyServer(tmp_path, settings) as server:
        await server.start()
        broker = open_broker(server.url)
        durable = (await broker.inspect()).durable
        await broker.close()
    assert says in durable
    assert bool(durable) == bool(says)


async def test_a_full_server_refuses_and_keeps_the_order(tmp_path: Path) -> None:
    with DurableValkeyServer(tmp_path, {"maxmemory": "12mb"}) as server:
        await server.start()
        bus = Bus(server, open_broker)
        publisher, stored = bus.connect(), list[Event]()
        await publisher.declare(bus.topic, [GROUP])
        with pytest.raises(BrokerUnavailable, match="OOM"):
            for number in range(40):
                batch = [event("a", 2 * number, size=500_000), event("a", 2 * number + 1)]
                kept = {result.event_id for result in await publisher.publish(bus.topic, batch)}
                stored += [one for one in batch if one.id in kept]
        recorder = Recorder()
        async with bus.consuming(recorder):
            await recorder.has(stored)
        assert recorder.numbers() == {"a": list(range(len(stored)))}
        await bus.close()


async def test_a_group_that_was_deleted_comes_back(bus: Bus) -> None:
    """What is still in the streams comes again: a repeat is better than a loss."""
    await bus.connect().declare(bus.topic, [GROUP])
    recorder, first, second = Recorder(), run_of("a", range(3)), run_of("a", range(3, 6))
    async with bus.consuming(recorder):
        await bus.publish(first)
        await recorder.has(first)
        async with Redis.from_url(bus.server.url.removesuffix(LEASE)) as client:
            for number in range(STREAMS):
                await client.xgroup_destroy(stream_of(bus.topic, number), GROUP)
        await bus.publish(second)
        await recorder.has(second)


async def test_taking_is_no_write_and_what_is_in_hand_stays_pending(bus: Bus) -> None:
    """Only what was handled moves the group on; what is in hand then is pending, and a new owner gets that alone."""
    await bus.connect().declare(bus.topic, [GROUP])
    broker, held, passing = bus.connect(), *SAME_STREAM

    async def hold(event: Event) -> None:
        await asyncio.Event().wait()

    async def hold_one(event: Event) -> None:
        if event.key == held:
            await hold(event)

    sent = [event(held, 0), event(passing, 0)]
    await bus.publish(sent)
    in_hand, some, after = Recorder(hold), Recorder(hold_one), Recorder()
    async with bus.consuming(in_hand):
        await in_hand.until(lambda: len(in_hand.began) == 2)
        assert await state(bus) == [("0-0", 0, 2)]
    async with bus.consuming(some):
        await until_it_is(1, lambda: broker.backlog(bus.topic, GROUP))
        assert [(pending, lag) for _, pending, lag in await state(bus)] == [(1, 0)]
    async with bus.consuming(after):
        await until_it_is(0, lambda: broker.backlog(bus.topic, GROUP))
    assert after.numbers() == {held: [0]}


async def test_a_group_that_an_operator_has_moved_is_followed(bus: Bus) -> None:
    await bus.connect().declare(bus.topic, [GROUP])
    recorder, broker, sent = Recorder(), bus.connect(), run_of("a", range(3))
    async with bus.consuming(recorder):
        await bus.publish(sent)
        await recorder.has(sent)
        await until_it_is(0, lambda: broker.backlog(bus.topic, GROUP))
        async with Redis.from_url(bus.server.url.removesuffix(LEASE)) as client:
            for number in range(STREAMS):
                if await client.exists(stream_of(bus.topic, number)):
                    await client.xgroup_setid(stream_of(bus.topic, number), GROUP, "0")
        await bus.publish(run_of("a", [3]))
        await recorder.until(lambda: recorder.numbers()["a"][-4:] == [0, 1, 2, 3])


@pytest.mark.parametrize("url", ["redis://h?retention=-1", "redis://h?lease=0", "redis://h?lease=x", "redis://h:port"])
def test_a_url_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="redis://"):
        open_broker(url)


@pytest.mark.parametrize("url", ["nats://h", "", "kafka"])
def test_a_broker_that_is_unknown_is_refused_with_the_known_ones(url: str) -> None:
    with pytest.raises(ConfigurationError, match="kafka://"):
        open_broker(url)
