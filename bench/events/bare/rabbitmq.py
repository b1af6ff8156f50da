"""aio-pika by itself: confirmed messages on a quorum queue, each acknowledged."""

import asyncio
import time
from typing import Any

import aio_pika

from bench.events.ends import Note
from bench.events.messages import batches, events
from souk.events.cloud_events import attributes_of

_TOPIC = "bench.bare"
_PREFETCH = 256


async def declare(url: str) -> None:
    """Makes the queue."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(_TOPIC, durable=True, arguments={"x-queue-type": "quorum"})


def _message(event: Any) -> aio_pika.Message:
    headers = {f"cloudEvents:{name}": value for name, value in attributes_of(event).items()}
    return aio_pika.Message(
        event.payload,
        headers=headers,
        content_type="application/protobuf",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )


class BareSource:
    """Publishes as many messages at the same time as a relay hands over at once, and waits for their confirmations."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Any = None
        self._channel: Any = None
        self._batches: list[list[aio_pika.Message]] = []

    async def _publish(self, message: aio_pika.Message) -> None:
        await self._channel.default_exchange.publish(message, _TOPIC, mandatory=True)

    async def fill(self, run: str, count: int) -> None:
        await self.begin()
        self._batches = [[_message(one) for one in batch] for batch in batches(events(_TOPIC, run, range(count)))]

    async def send(self) -> None:
        for batch in self._batches:
            await asyncio.gather(*(self._publish(message) for message in batch))

    async def begin(self) -> None:
        if self._connection is None:
            self._connection = await aio_pika.connect(self._url)
            self._channel = await self._connection.channel(publisher_confirms=True)

    async def one(self, run: str, number: int) -> float:
        sent = time.monotonic()
        (event,) = events(_TOPIC, run, range(number, number + 1))
        await self._publish(_message(event))
        return sent

    async def end(self) -> None:
        pass

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()


class BareSink:
    """Handles and acknowledges one message after the other, with many on their way."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def run(self, note: Note) -> None:
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=_PREFETCH)
            queue = await channel.get_queue(_TOPIC)
            async with queue.iterator() as messages:
                async for message in messages:
                    note(message.body)
                    await message.ack()
