"""Publishes events over one idempotent producer of librdkafka, which is replaced after every failure.

Order is what the replacing is for. Within a partition librdkafka sends in order, and the broker takes nothing behind
a gap (the producer's sequence numbers), so what is stored is always a prefix of what was sent. That would end if an
event in the middle were given up and the later ones sent. So no event ever times out by itself; when one fails, or
takes too long, everything that waits is dropped, and what is published afterwards goes over a new producer.
"""

import asyncio
from collections.abc import Sequence
from threading import Event as Flag
from threading import Thread
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from soukapi.v1.event_pb2 import Event

from souk.events.brokers.kafka.failures import LastError
from souk.events.brokers.kafka.messages import KnownHeaders
from souk.events.brokers.kafka.settings import SILENT, KafkaSettings
from souk.telemetry.logs import logger

_log = logger("events")
_SERVED_EVERY = 0.1
_DROPPED_WITHIN = 50
_CLOSED_WITHIN = 10.0


class Reports:
    """The delivery reports of the events of one call of `publish`, on the event loop.

    `failed` says whether one of them was not stored, or may not have been.
    """

    def __init__(self, events: int) -> None:
        self.errors: list[KafkaError | None] = [None] * events
        self.stored = [False] * events
        self.sent = 0
        self.failed = False
        self._reported = 0
        self.changed = asyncio.Event()

    @property
    def complete(self) -> bool:
        """Whether every event that was sent has a report."""
        return self._reported == self.sent

    def report(self, index: int, error: KafkaError | None) -> None:
        """Takes the report of an event."""
        self.errors[index] = error
        self.stored[index] = error is None
        self.failed = self.failed or error is not None
        self._reported += 1
        self.changed.set()

    async def until_complete(self) -> None:
        """Waits until every event that was sent has a report, or one of them failed."""
        while not self.complete and not self.failed:
            self.changed.clear()
            await self.changed.wait()


class ProducerConnection:
    """One producer with the thread that serves it; used until it is dropped."""

    def __init__(self, settings: KafkaSettings, batch: int) -> None:
        self.errors = LastError()
        self.batch = batch
        self._loop = asyncio.get_running_loop()
        self._producer: Producer | None = Producer(self._config(settings, batch))
        self._dropped = Flag()
        self._reports: list[tuple[Reports, int, KafkaError | None]] = []
        self._thread = Thread(target=self._serve, args=(self._producer,), name="kafka producer", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> bool:
        """Whether nothing more can be sent over it."""
        return self._dropped.is_set()

    def send(self, topic: str, event: Event, headers: KnownHeaders, reports: Reports, index: int) -> bool:
        """Puts an event behind those that were sent; False when there is no room now, or it was dropped."""
        assert self._producer is not None

        def reported(error: KafkaError | None, message: Message) -> None:
            self._reports.append((reports, index, error))

        try:
            self._producer.produce(
                topic, event.payload, event.key.encode(), headers=list(headers), on_delivery=reported
            )
        except BufferError:
            return False
        except KafkaException as error:
            # It can send no more, such as when a gap would follow.
            self.errors(error.args[0])
            self.drop()
            return False
        reports.sent += 1
        return True

    def drop(self) -> None:
        """Drops all that waits; the events that were on their way may or may not be stored."""
        if not self.dropped and self._producer is not None:
            self._dropped.set()
            self._producer.purge(blocking=False)
            self._producer = None

    async def ended(self) -> None:
        """Waits until a dropped connection is closed."""
        await asyncio.to_thread(self._thread.join, _CLOSED_WITHIN)

    def _config(self, settings: KafkaSettings, batch: int) -> dict[str, Any]:
        return {
            **settings.client(),
            "error_cb": self.errors,
            "logger": SILENT,
            "enable.idempotence": True,
            "acks": "all",
            "enable.gapless.guarantee": True,
            "delivery.timeout.ms": 0,
            "partitioner": "murmur2",
            "linger.ms": 1,
            "batch.size": batch,
            # What is too large is refused before, by the limit of its topic.
            "message.max.bytes": 1_000_000_000,
            "queue.buffering.max.messages": 20_000,
            "queue.buffering.max.kbytes": 64 << 10,
        }

    def _serve(self, producer: Producer) -> None:
        """Runs in the thread: gives the reports to the event loop, and closes the producer in the end."""
        while not self.dropped:
            self._serve_once(producer)
        producer.purge()
        for _ in range(_DROPPED_WITHIN):
            if not len(producer):
                break
            self._serve_once(producer)

    def _serve_once(self, producer: Producer) -> None:
        try:
            producer.poll(_SERVED_EVERY)
        except KafkaException as error:
            # The producer can send no more, such as when a gap would follow. Events have a report of it.
            self.errors(error.args[0])
        if self._reports:
            reports, self._reports = self._reports, []
            try:
                self._loop.call_soon_threadsafe(_report_all, reports)
            except RuntimeError:
                _log.debug("the event loop has ended before the reports of events")


def _report_all(reports: Sequence[tuple[Reports, int, KafkaError | None]]) -> None:
    for one, index, error in reports:
        one.report(index, error)
