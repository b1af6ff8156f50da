"""confluent-kafka by itself: an idempotent producer, and a consumer that commits what it has handled."""

import asyncio
import time
from threading import Event as Flag

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from bench.events.ends import Note
from bench.events.messages import events
from souk.events.brokers.kafka.messages import headers_of
from souk.events.brokers.kafka.open import open_broker
from souk.events.brokers.kafka.settings import settings_of

_TOPIC = "bench.bare"
_GROUP = "bare"
_AT_ONCE = 500


async def declare(url: str) -> None:
    """Makes the topic, with the partitions and the settings of Souk's topics."""
    broker = open_broker(url)
    await broker.declare(_TOPIC, [_GROUP])
    await broker.close()


class BareSource:
    """Produces as fast as the queue takes events, and flushes in the end."""

    def __init__(self, url: str) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": settings_of(url).servers,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 1,
                "socket.nagle.disable": True,
                "partitioner": "murmur2",
            }
        )
        self._messages: list[tuple[str, bytes, list[tuple[str, bytes]]]] = []

    async def fill(self, run: str, count: int) -> None:
        self._messages = [(one.key, one.payload, headers_of(one)) for one in events(_TOPIC, run, range(count))]

    async def send(self) -> None:
        await asyncio.to_thread(self._send)

    def _send(self) -> None:
        stored = 0

        def reported(error: KafkaError | None, message: Message) -> None:
            nonlocal stored
            assert error is None, error
            stored += 1

        for key, payload, headers in self._messages:
            self._producer.produce(_TOPIC, payload, key, headers=list(headers), on_delivery=reported)
            self._producer.poll(0)
        self._producer.flush()
        assert stored == len(self._messages), "the broker has not stored everything"

    async def begin(self) -> None:
        pass

    async def one(self, run: str, number: int) -> float:
        sent = time.monotonic()
        (event,) = events(_TOPIC, run, range(number, number + 1))
        self._producer.produce(_TOPIC, event.payload, event.key, headers=list(headers_of(event)))
        self._producer.poll(0)
        return sent

    async def end(self) -> None:
        await asyncio.to_thread(self._producer.flush)

    async def close(self) -> None:
        await self.end()


class BareSink:
    """Takes batches, and commits each once it is handled."""

    def __init__(self, url: str) -> None:
        self._servers = settings_of(url).servers

    async def run(self, note: Note) -> None:
        ended = Flag()
        working = asyncio.create_task(asyncio.to_thread(self._work, note, ended))
        try:
            await asyncio.shield(working)
        finally:
            ended.set()
            await working

    def _work(self, note: Note, ended: Flag) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self._servers,
                "group.id": _GROUP,
                "group.protocol": "consumer",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        consumer.subscribe([_TOPIC])
        while not ended.is_set():
            found: dict[int, int] = {}
            # `consume` waits until the batch is full, so one message is waited for and the rest taken.
            for message in [*consumer.consume(1, 0.1), *consumer.consume(_AT_ONCE, 0)]:
                note(message.value() or b"")
                message.headers()
                found[message.partition() or 0] = (message.offset() or 0) + 1
            if found:
                offsets = [TopicPartition(_TOPIC, partition, offset) for partition, offset in found.items()]
                consumer.commit(offsets=offsets, asynchronous=True)
        consumer.close()
