"""What is asked of a cluster beside events: its topics and their settings, and how far a group is."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar, cast

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, TopicDescription

from souk.events.brokers.kafka.failures import UNKNOWN_TOPIC, LastError
from souk.events.brokers.kafka.guarantees import TopicFacts
from souk.events.brokers.kafka.settings import SILENT, KafkaSettings
from souk.events.brokers.kafka.worker import LoopWorker
from souk.telemetry.logs import logger

_T = TypeVar("_T")
_log = logger("events")
_EARLIEST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]  # the library gives it no types
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the library gives it no types
_ASKED_EVERY = 0.1
_GRACE = 2.0
"""Seconds beyond the settings' patience in which the client says by itself that it got no answer, and why."""
_CLOSED_WITHIN = 10.0
_PASSING = frozenset(
    {
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_LEADER_EPOCH,  # the broker has not heard yet of the leader that the client knows
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)


class AdminConnection:
    """One client of librdkafka, with a thread that waits for its answers."""

    def __init__(self, settings: KafkaSettings, errors: LastError) -> None:
        self._settings = settings
        self._errors = errors
        self._client: AdminClient | None = None
        self._worker = LoopWorker("kafka admin")

    async def ask(self, question: Callable[[AdminClient], _T]) -> _T:
        """Returns the answer; raises KafkaException. If the client has lost it, this waits for ever."""
        return await self._worker.call(lambda: self._ask(question))

    async def close(self) -> None:
        """Closes the client; one that does not end is left to end by itself."""
        closed = self.abandon()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSED_WITHIN):
                await closed

    def abandon(self) -> "asyncio.Future[None]":
        """Ends the client and the thread, unless that waits for an answer that was lost; the result comes after it."""
        # In the thread, because that waits for the client's own threads.
        closed = self._worker.begin(self._forget)
        self._worker.end()
        return closed

    def _ask(self, question: Callable[[AdminClient], _T]) -> _T:
        if self._client is None:
            self._client = AdminClient(
                cast("dict[str, Any]", {**self._settings.client(), "error_cb": self._errors, "logger": SILENT})
            )
        found = self._answer(self._client, question)
        self._errors.clear()
        return found

    def _answer(self, client: AdminClient, question: Callable[[AdminClient], _T]) -> _T:
        """Asks again while a partition or a group moves to another broker, or is not ready at it yet."""
        for left in range(int(self._settings.patience / _ASKED_EVERY), -1, -1):
            try:
                return question(client)
            except KafkaException as error:
                if not left or error.args[0].code() not in _PASSING:
                    raise
            finally:
                # Calls `error_cb` with what happened to the connections meanwhile.
                client.poll(0)
            time.sleep(_ASKED_EVERY)  # in the client's own thread, never on the event loop
        raise AssertionError("unreachable")

    def _forget(self) -> None:
        self._client = None


class KafkaAdmin:
    """Asks a cluster. Every method raises BrokerUnavailable when an answer takes longer than the settings' patience.

    When the broker stood still for a while, the client may lose an answer for good, whatever limit it was given, or
    find no broker again until its end, so that every question takes too long. So another client takes the place of
    one that had no answer in time.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._errors = LastError()
        self._connection: AdminConnection | None = None
        self._lock = asyncio.Lock()

    async def brokers(self) -> int:
        """Returns how many brokers the cluster has."""
        return await self._ask(lambda client: len(_result(client.describe_cluster(**self._limit)).nodes))

    async def create(self, topic: TopicFacts) -> None:
        """Makes a topic, and returns once the leader of each of its partitions answers."""
        await self._ask(lambda client: self._create(client, topic))

    async def facts(self, topic: str) -> TopicFacts | None:
        """Returns a topic's settings; None if it does not exist."""
        return await self._ask(lambda client: self._facts(client, topic))

    async def backlog(self, topic: str, group: str) -> int:
        """Returns how many events a group has not committed, with those that it never began with."""
        return await self._ask(lambda client: self._backlog(client, topic, group), topic)

    async def close(self) -> None:
        """Closes the connections."""
        async with self._lock:
            if self._connection is not None:
                connection, self._connection = self._connection, None
                await connection.close()

    async def _ask(self, question: Callable[[AdminClient], _T], topic: str = "") -> _T:
        servers = self._settings.servers
        async with self._lock:
            if self._connection is None:
                self._connection = AdminConnection(self._settings, self._errors)
            try:
                async with asyncio.timeout(self._settings.patience + _GRACE):
                    return await self._connection.ask(question)
            except TimeoutError:
                self._replace(self._connection)
                raise self._errors.explain(None, servers, topic) from None
            except KafkaException as error:
                reason = cast(KafkaError, error.args[0])
                if reason.code() == KafkaError._TIMED_OUT:
                    self._replace(self._connection)
                raise self._errors.explain(reason, servers, topic) from error

    def _replace(self, connection: AdminConnection) -> None:
        _log.warning(
            "a client of Kafka had no answer in time, and another takes its place", servers=self._settings.servers
        )
        connection.abandon()
        self._connection = None

    @property
    def _limit(self) -> dict[str, Any]:
        return {"request_timeout": self._settings.patience}

    def _create(self, client: AdminClient, topic: TopicFacts) -> None:
        new = NewTopic(topic.name, self._settings.partitions, topic.replicas, config=dict(topic.config))
        try:
            _result(client.create_topics([new], **self._limit)[topic.name])
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        described = self._describe(client, topic.name)
        if described is None:
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
        self._offsets(client, topic.name, _numbers(described), _LATEST)

    def _describe(self, client: AdminClient, topic: str) -> TopicDescription | None:
        try:
            found = client.describe_topics(TopicCollection([topic]), **self._limit)
            return cast(TopicDescription, _result(found[topic]))
        except KafkaException as error:
            if error.args[0].code() in UNKNOWN_TOPIC:
                return None
            raise

    def _facts(self, client: AdminClient, topic: str) -> TopicFacts | None:
        described = self._describe(client, topic)
        if described is None:
            return None
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        config = _result(client.describe_configs([resource], **self._limit)[resource])
        replicas = min((len(partition.replicas) for partition in described.partitions), default=0)
        return TopicFacts(topic, replicas, {name: entry.value or "" for name, entry in config.items()})

    def _backlog(self, client: AdminClient, topic: str, group: str) -> int:
        described = self._describe(client, topic)
        if described is None:
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        numbers = _numbers(described)
        committed = self._committed(client, topic, group)
        first = self._offsets(client, topic, numbers, _EARLIEST)
        end = self._offsets(client, topic, numbers, _LATEST)
        return sum(max(0, end[number] - max(first[number], committed.get(number, 0))) for number in numbers)

    def _committed(self, client: AdminClient, topic: str, group: str) -> dict[int, int]:
        try:
            asked = client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], **self._limit)
            found = _result(asked[group]).topic_partitions
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return {}
            raise
        return {one.partition: one.offset for one in found if one.topic == topic and one.offset >= 0}

    def _offsets(self, client: AdminClient, topic: str, numbers: Sequence[int], spec: OffsetSpec) -> dict[int, int]:
        wanted = {TopicPartition(topic, number): spec for number in numbers}
        found = client.list_offsets(wanted, **self._limit)
        return {partition.partition: _result(future).offset for partition, future in found.items()}


def _result(future: "Future[Any]") -> Any:
    return future.result()


def _numbers(topic: TopicDescription) -> list[int]:
    return [partition.id for partition in topic.partitions]
