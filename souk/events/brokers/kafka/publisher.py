"""Publishes to topics: what is too large is poison, and a result is given only for what is stored."""

import asyncio
from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError
from soukapi.v1.event_pb2 import DeliveryResult, Event

from souk.events.broker import BrokerUnavailable
from souk.events.brokers.kafka.failures import UNKNOWN_TOPIC
from souk.events.brokers.kafka.messages import KnownHeaders, headers_of, size_of
from souk.events.brokers.kafka.producer import ProducerConnection, Reports
from souk.events.brokers.kafka.settings import KafkaSettings

_AT_ONCE = 200
"""Events that are sent before other work of the process has its turn."""
_BATCH = 256 << 10
"""Octets of a request for one partition, unless a single event is larger. The broker refuses the whole request if it
is larger than the topic's limit, so it is kept below that."""
_DROP_PATIENCE = 5.0


class UnknownTopic(Exception):
    """The topic does not exist, or no longer."""


class KafkaPublisher:
    """Publishes for any number of tasks, over one producer at a time."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._connection: ProducerConnection | None = None
        self._closed = False

    async def publish(self, topic: str, events: Sequence[Event], limit: int) -> list[DeliveryResult]:
        """Stores events whose record is at most `limit` octets; the others are poison.

        Raises UnknownTopic, and BrokerUnavailable when it knows nothing of any event within the settings' patience.
        """
        connection, reports = self._open(limit), Reports(len(events))
        headers = [headers_of(event) for event in events]
        poison = _poison(events, headers, limit)
        try:
            async with asyncio.timeout(self._settings.patience):
                await self._send(connection, topic, events, headers, poison, reports)
                await reports.until_complete()
        except TimeoutError:
            pass
        finally:
            if not reports.complete or reports.failed:
                connection.drop()
        await self._dropped(reports)
        found = _results(events, reports, poison)
        if not found and events:
            raise self._failure(connection, reports, topic)
        connection.errors.clear()
        return found

    async def close(self) -> None:
        """Drops what waits, and closes the connections."""
        self._closed = True
        if self._connection is not None:
            self._connection.drop()
            await self._connection.ended()

    def _open(self, limit: int) -> ProducerConnection:
        if self._closed:
            raise BrokerUnavailable("the broker was closed")
        connection = self._connection
        if connection is not None and connection.batch > limit:
            connection.drop()
        if connection is None or connection.dropped:
            self._connection = connection = ProducerConnection(self._settings, min(_BATCH, limit))
        return connection

    async def _send(
        self,
        connection: ProducerConnection,
        topic: str,
        events: Sequence[Event],
        headers: Sequence[KnownHeaders],
        poison: Mapping[int, str],
        reports: Reports,
    ) -> None:
        for index, event in enumerate(events):
            if index in poison:
                continue
            # Other tasks' events may fill the queue, so there is nothing of ours to wait for.
            while not connection.dropped and not connection.send(  # noqa: ASYNC110
                topic, event, headers[index], reports, index
            ):
                await asyncio.sleep(0.01)
            if index % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            if connection.dropped or reports.failed:
                return

    async def _dropped(self, reports: Reports) -> None:
        """Waits for the reports of what was dropped: some of it may turn out to be stored."""
        try:
            async with asyncio.timeout(_DROP_PATIENCE):
                while not reports.complete:
                    reports.changed.clear()
                    await reports.changed.wait()
        except TimeoutError:
            pass

    def _failure(self, connection: ProducerConnection, reports: Reports, topic: str) -> Exception:
        errors = [error for error in reports.errors if error is not None]
        causes = [error for error in errors if error.code() not in _OURS]
        if any(error.code() in UNKNOWN_TOPIC for error in causes):
            return UnknownTopic(topic)
        return connection.errors.explain(causes[0] if causes else None, self._settings.servers, topic)


_OURS = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})
"""The codes of what was dropped, which do not say why."""


def _poison(events: Sequence[Event], headers: Sequence[KnownHeaders], limit: int) -> dict[int, str]:
    sizes = (size_of(event, found) for event, found in zip(events, headers, strict=True))
    return {
        index: f"it takes {size} octets, and the topic allows {limit} (max.message.bytes)"
        for index, size in enumerate(sizes)
        if size > limit
    }


def _results(events: Sequence[Event], reports: Reports, poison: Mapping[int, str]) -> list[DeliveryResult]:
    """Gives no result to an event behind one of its key that has none: it has to be published again, after that."""
    found: list[DeliveryResult] = []
    broken: set[str] = set()
    for index, event in enumerate(events):
        if event.key in broken:
            continue
        if index in poison:
            found.append(DeliveryResult(event_id=event.id, poison=poison[index]))
        elif reports.stored[index]:
            found.append(DeliveryResult(event_id=event.id))
        else:
            broken.add(event.key)
    return found
