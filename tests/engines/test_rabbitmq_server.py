"""RabbitMQ as tests start it: what was confirmed outlives a crash, and a paused broker answers nobody."""

import asyncio
import uuid
from collections.abc import Iterator

import aio_pika
import pytest

from souk.testing.servers.rabbitmq import RabbitMqServer

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("rabbitmq")]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMqServer]:
    with RabbitMqServer(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture
async def rabbitmq(server: RabbitMqServer) -> RabbitMqServer:
    await server.start()
    return server


@pytest.fixture
def queue_name() -> str:
    return f"queue-{uuid.uuid4().hex}"


async def send(rabbitmq: RabbitMqServer, name: str, body: bytes) -> None:
    async with await aio_pika.connect(rabbitmq.url, timeout=PATIENCE) as connection:
        channel = await connection.channel(publisher_confirms=True)
        await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, name, timeout=PATIENCE)


async def receive(rabbitmq: RabbitMqServer, name: str) -> bytes:
    async with await aio_pika.connect(rabbitmq.url, timeout=PATIENCE) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(name)
        async with asyncio.timeout(PATIENCE), queue.iterator() as messages:
            async for message in messages:
                await message.ack()
                return message.body
    raise AssertionError("no message")


async def test_a_confirmed_message_outlives_a_crash(rabbitmq: RabbitMqServer, queue_name: str) -> None:
    await send(rabbitmq, queue_name, b"kept")
    await rabbitmq.settled()
    rabbitmq.kill()
    assert not rabbitmq.running
    await rabbitmq.start()
    assert await receive(rabbitmq, queue_name) == b"kept"


async def test_it_goes_on_after_a_stop(rabbitmq: RabbitMqServer, queue_name: str) -> None:
    await send(rabbitmq, queue_name, b"kept")
    await rabbitmq.stop()
    await rabbitmq.start()
    assert await receive(rabbitmq, queue_name) == b"kept"


async def test_a_paused_broker_answers_nobody(rabbitmq: RabbitMqServer, queue_name: str) -> None:
    rabbitmq.pause()
    with pytest.raises((TimeoutError, aio_pika.exceptions.AMQPError)):
        await aio_pika.connect(rabbitmq.url, timeout=0.5)
    rabbitmq.resume()
    await send(rabbitmq, queue_name, b"again")
    assert await receive(rabbitmq, queue_name) == b"again"


async def test_two_brokers_do_not_meet(rabbitmq: RabbitMqServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    with RabbitMqServer(tmp_path_factory.mktemp("rabbitmq")) as other:
        await other.start()
        await send(other, "own", b"here")
        with pytest.raises(aio_pika.exceptions.ChannelClosed):
            await receive(rabbitmq, "own")
