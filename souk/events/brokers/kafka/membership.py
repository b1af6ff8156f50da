"""One membership in a consumer group: a consumer of librdkafka, on a thread of its own."""

import asyncio
from collections.abc import Awaitable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from souk.events.brokers.kafka.failures import UNKNOWN_TOPIC, LastError
from souk.events.brokers.kafka.settings import SILENT, KafkaSettings
from souk.events.brokers.kafka.worker import LoopWorker
from souk.telemetry.logs import logger

_T = TypeVar("_T")
_log = logger("events")
_AT_ONCE = 500
_OCTETS_AT_ONCE = 1 << 20
"""What one poll returns at most: so many messages, and so many octets if they are as large as those before."""


class Assignee(Protocol):
    """Who handles the messages, on the event loop."""

    async def take_back(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Ends all handlers of these partitions, and returns the offsets that are still to be committed."""
        ...

    def committed(self, failed: bool) -> None:
        """Says that the commit that was in flight has ended; `failed` if it is to be made again."""
        ...


class Member(Protocol):
    """A member of a group; its methods are called one at a time."""

    async def poll(self, seconds: float, *, pause: bool, commit: Mapping[int, int]) -> list[Message]:
        """Commits, then waits for messages; joins the group if that has not been done.

        While `pause` holds none are asked for, but the membership goes on. Meanwhile partitions may be taken back
        from the assignee. Raises KafkaException when the membership has failed.
        """
        ...

    async def leave(self, commit: Mapping[int, int]) -> None:
        """Commits and leaves the group, so that others get its partitions at once. All handlers must have ended."""
        ...


class Membership:
    """A member by way of librdkafka; the client is used in one thread, in which its callbacks run, too."""

    def __init__(self, settings: KafkaSettings, topic: str, group: str, assignee: Assignee) -> None:
        self._topic = topic
        self._config = {**settings.client(), **_consumer(group)}
        self._assignee = assignee
        self._loop = asyncio.get_running_loop()
        self._worker = LoopWorker("kafka consumer")
        self._consumer: Consumer | None = None
        self._found: list[Message] = []
        self._largest = 0
        self._gone: set[int] = set()
        self._come: set[int] = set()
        self._paused = False
        self._leaving = False
        self._errors = LastError()

    async def poll(self, seconds: float, *, pause: bool, commit: Mapping[int, int]) -> list[Message]:
        """Commits, then waits for messages; see Member."""
        return await self._worker.call(lambda: self._poll(seconds, pause, commit))

    async def leave(self, commit: Mapping[int, int]) -> None:
        """Commits and leaves the group; see Member."""
        self._leaving = True
        try:
            await self._worker.call(lambda: self._leave(commit))
        finally:
            self._worker.end()

    def _on_loop(self, work: Awaitable[_T]) -> _T:
        """Runs in the thread, which waits for what the event loop does."""

        async def done() -> _T:
            return await work

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result()

    def _join(self) -> Consumer:
        callbacks = {"error_cb": self._error, "on_commit": self._committed, "logger": SILENT}
        consumer = Consumer({**self._config, **callbacks})
        consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        return consumer

    def _poll(self, seconds: float, pause: bool, commit: Mapping[int, int]) -> list[Message]:
        if self._consumer is None:
            self._consumer = self._join()
        self._commit(commit)
        self._pause(self._consumer, pause)
        self._found = self._messages(self._consumer.consume(1, seconds))
        if self._found:
            self._found += self._at_once(self._consumer)
            self._largest = max(map(len, self._found), default=0)
        return self._found

    def _at_once(self, consumer: Consumer) -> list[Message]:
        """Takes what is there in one call: between two, other threads of Python may run for milliseconds each time."""
        count = min(_AT_ONCE, _OCTETS_AT_ONCE // max(1, self._largest)) - 1
        if count < 1:
            return []
        self._gone.clear()
        self._come.clear()
        found = consumer.consume(count, 0)
        if again := self._gone & self._come:
            # Which messages are of the former assignment and which of the new one cannot be told.
            raise KafkaException(KafkaError(KafkaError._STATE, f"partitions {sorted(again)} went and came at once"))
        return [message for message in self._messages(found) if message.partition() not in self._gone]

    def _messages(self, found: Sequence[Message]) -> list[Message]:
        messages = []
        for message in found:
            if (error := message.error()) is None:
                messages.append(message)
            else:
                self._error(error)
        return messages

    def _pause(self, consumer: Consumer, pause: bool) -> None:
        if pause:
            # Each time, because partitions may have been assigned meanwhile.
            consumer.pause(consumer.assignment())
        elif self._paused:
            consumer.resume(consumer.assignment())
        self._paused = pause

    def _leave(self, commit: Mapping[int, int]) -> None:
        if self._consumer is None:
            return
        owned = {partition.partition for partition in self._consumer.assignment()}
        self._commit({number: offset for number, offset in commit.items() if number in owned})
        # This waits for the answer to the commit, and does not return before there is one.
        self._consumer.close()
        self._consumer = None

    def _assigned(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._come |= {partition.partition for partition in partitions}

    def _revoked(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """The commit goes to the broker before the word that the partitions are free, over the same connection.

        Its answer is not waited for: that would be without a limit, inside of a poll.
        """
        self._commit(self._let_go(partitions))

    def _lost(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """The broker has given them to others already: committing would set those back."""
        self._let_go(partitions)

    def _let_go(self, partitions: Sequence[TopicPartition]) -> Mapping[int, int]:
        numbers = {partition.partition for partition in partitions}
        self._gone |= numbers
        # In place: this runs in the middle of a poll.
        self._found[:] = [message for message in self._found if message.partition() not in numbers]
        return {} if self._leaving else self._on_loop(self._assignee.take_back(numbers))

    def _commit(self, handled: Mapping[int, int]) -> None:
        if handled and self._consumer is not None:
            offsets = [TopicPartition(self._topic, number, offset) for number, offset in handled.items()]
            try:
                self._consumer.commit(offsets=offsets, asynchronous=True)
            except KafkaException as error:
                self._committed(error.args[0], [])

    def _committed(self, error: KafkaError | None, partitions: Sequence[TopicPartition]) -> None:
        """A commit that failed is made again, but not because the topic is unknown.

        It may have been deleted, and if it is made again meanwhile, an offset of the old topic would pass over events
        of the new one.
        """
        errors = [one for one in (error, *(partition.error for partition in partitions)) if one is not None]
        failed = any(one.code() not in UNKNOWN_TOPIC for one in errors)
        if errors:
            _log.warning("what was handled was not committed", topic=self._topic, error=errors[0].str())
        # After the end of the loop nobody waits any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._assignee.committed, failed)

    def _error(self, error: KafkaError) -> None:
        self._errors(error)
        _log.warning("a consumer has trouble with Kafka", topic=self._topic, error=error.str())
        if error.fatal():
            raise KafkaException(error)


def _consumer(group: str) -> dict[str, Any]:
    return {
        "group.id": group,
        "group.protocol": "consumer",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "allow.auto.create.topics": False,
        "isolation.level": "read_committed",
        "queued.min.messages": 1_000,
        "queued.max.messages.kbytes": 16 << 10,
        "fetch.wait.max.ms": 500,
        "fetch.max.bytes": 16 << 20,
        "fetch.queue.backoff.ms": 20,
        "fetch.error.backoff.ms": 100,
    }
