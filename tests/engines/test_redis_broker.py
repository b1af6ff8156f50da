"""Redis Streams as a broker, against a real Valkey."""

from collections.abc import AsyncIterator
from pathlib import Path

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

LEASE = "?lease=2"


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


@pytest.mark.parametrize("url", ["redis://h?retention=-1", "redis://h?lease=0", "redis://h?lease=x", "redis://h:port"])
def test_a_url_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="redis://"):
        open_broker(url)


@pytest.mark.parametrize("url", ["nats://h", "", "kafka"])
def test_a_broker_that_is_unknown_is_refused_with_the_known_ones(url: str) -> None:
    with pytest.raises(ConfigurationError, match="kafka://"):
        open_broker(url)
