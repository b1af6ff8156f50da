"""The fleet's own bus, asked from outside: what it still has to deliver, and a copy of it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis
from soukapi.v1.event_pb2 import Event

from souk.backing import bus, valkey
from souk.events.broker import Broker
from souk.events.brokers.by_url import open_broker
from souk.kernel.errors import ConfigurationError
from souk.testing.brokers.harness import run_of
from souk.testing.valkey import ValkeyServer

TOPIC, MAILS, INDEX = "shop.order", "notification/mails", "product/index"
LIMIT = 30.0

pytestmark = pytest.mark.xdist_group("bus")


@contextmanager
def running() -> Iterator[ValkeyServer]:
    try:
        server = ValkeyServer(valkey.find_valkey(), valkey.BUS)
    except ConfigurationError as error:
        pytest.skip(str(error))
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with running() as server:
        yield server


@pytest.fixture
async def broker(server: ValkeyServer) -> AsyncIterator[Broker]:
    broker = open_broker(bus.url_of(server.socket))
    yield broker
    await broker.close()


async def handled(broker: Broker, group: str, count: int) -> list[Event]:
    """Handles `count` events for a group; the one after these, if there is one, stays in hand."""
    seen: list[Event] = []
    enough = asyncio.Event()

    async def handle(event: Event) -> None:
        if len(seen) == count:
            enough.set()
            await asyncio.Event().wait()
        seen.append(event)
        if len(seen) == count and await broker.backlog(TOPIC, group) <= count:
            enough.set()

    consuming = asyncio.create_task(broker.consume(TOPIC, group, handle))
    async with asyncio.timeout(LIMIT):
        await enough.wait()
    consuming.cancel()
    with suppress(asyncio.CancelledError):
        await consuming
    return seen


async def test_nothing_waits_in_a_topic_that_is_not_there_yet(broker: Broker) -> None:
    assert await broker.backlog(TOPIC, MAILS) == 0


async def test_its_settings_lose_nothing(broker: Broker) -> None:
    assert (await broker.inspect()).unfit == ""


async def test_it_counts_what_no_group_has_handled(server: ValkeyServer, broker: Broker) -> None:
    assert await bus.unhandled(server.socket) == 0
    await broker.declare(TOPIC, [MAILS, INDEX])
    events = run_of("a", range(5))
    await broker.publish(TOPIC, events)
    assert await bus.unhandled(server.socket) == 10
    assert await handled(broker, MAILS, 2) == events[:2]
    assert await bus.unhandled(server.socket) == 8


async def test_a_copy_holds_what_was_in_hand_and_what_was_not_handed_out(server: ValkeyServer, broker: Broker) -> None:
    await broker.declare(TOPIC, [MAILS, INDEX])
    events = run_of("a", range(5))
    await broker.publish(TOPIC, events)
    await handled(broker, MAILS, 2)
    copy = await bus.copied(server.socket)
    with running() as other:
        await bus.bring_back(other.socket, copy)
        restored = open_broker(bus.url_of(other.socket))
        later = run_of("a", range(5, 6))
        await restored.publish(TOPIC, later)
        assert await handled(restored, MAILS, 4) == [*events[2:], *later]
        assert await bus.unhandled(other.socket) == 6
        await restored.close()


async def test_what_it_has_stored_outlives_a_kill(server: ValkeyServer, broker: Broker) -> None:
    await broker.declare(TOPIC, [MAILS])
    await broker.publish(TOPIC, run_of("a", range(3)))
    server.stop(signal.SIGKILL)
    server.start()
    assert valkey.keeps_data(server.socket.parent)
    assert await bus.unhandled(server.socket) == 3


async def test_events_that_nobody_subscribes_to_do_not_fill_it(server: ValkeyServer) -> None:
    url = f"unix://{server.socket}?retention=0"
    await publish_all(url, "shop.stock", 500)
    await publish_all(url, "shop.stock", 1)
    async with Redis(unix_socket_path=str(server.socket)) as client:
        kept = sum([await client.xlen(name) for name in await client.keys("*")])
    assert kept < 200  # whole nodes of a stream are removed, each of up to 100 entries


async def publish_all(url: str, topic: str, count: int) -> None:
    broker = open_broker(url)
    await broker.declare(topic, [])
    await broker.publish(topic, run_of("a", range(count)))
    await broker.close()


async def test_one_that_does_not_answer_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the fleet's bus cannot be used"):
        await bus.unhandled(tmp_path / "none.sock")
