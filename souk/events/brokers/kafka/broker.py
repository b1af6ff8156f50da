"""The broker port on Kafka."""

import asyncio
from collections.abc import Collection, Sequence
from functools import partial
from random import Random

from confluent_kafka import KafkaException
from soukapi.v1.event_pb2 import DeliveryResult, Event

from souk.events.broker import BrokerUnavailable, Guarantees, Handle
from souk.events.brokers.kafka.admin import KafkaAdmin
from souk.events.brokers.kafka.consumer import KafkaConsumer
from souk.events.brokers.kafka.guarantees import TopicFacts, guarantees_of, planned
from souk.events.brokers.kafka.membership import Membership
from souk.events.brokers.kafka.publisher import KafkaPublisher, UnknownTopic
from souk.events.brokers.kafka.settings import KafkaSettings
from souk.events.key_lanes import KeyLanes
from souk.resilience.backoff import Backoff
from souk.telemetry.logs import logger

_log = logger("events")
_REJOIN = Backoff(0.2, 5.0)


class KafkaBroker:
    """Stores events in topics of a Kafka cluster; a group of the port is a consumer group.

    Groups need no declaring: one that has committed nothing reads from the earliest event. If a topic that was
    declared here is deleted while it is in use, publishing makes it again; the events in it are lost, and each group
    begins with the new topic's first event.
    """

    system = "kafka"

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin = KafkaAdmin(settings)
        self._publisher = KafkaPublisher(settings)
        self._declared: set[str] = set()
        self._limits: dict[str, int] = {}

    async def inspect(self) -> Guarantees:
        """Returns what the declared topics guarantee, and what a topic would that is declared next."""
        brokers = await self._admin.brokers()
        found = [await self._admin.facts(topic) for topic in sorted(self._declared)]
        topics = [planned("a new topic", self._settings, brokers), *(one for one in found if one is not None)]
        if any(topic.replicas < 2 for topic in topics):
            _log.info("events are kept once: the loss of the broker's disk would lose them", brokers=brokers)
        return guarantees_of(topics)

    async def declare(self, topic: str, groups: Collection[str]) -> None:
        """Makes a topic if it is missing; see the port."""
        self._declared.add(topic)
        await self._made(topic)

    async def publish(self, topic: str, events: Sequence[Event]) -> Sequence[DeliveryResult]:
        """Stores events; see the port."""
        if not events:
            return []
        try:
            results = await self._publisher.publish(topic, events, await self._limit(topic))
        except UnknownTopic:
            self._limits.pop(topic, None)
            raise BrokerUnavailable(self._missing(topic)) from None
        except BaseException:
            self._limits.pop(topic, None)
            raise
        if len(results) < len(events):
            self._limits.pop(topic, None)
        return results

    async def consume(self, topic: str, group: str, handle: Handle, types: Collection[str] = ()) -> None:
        """Hands the group's events to `handle` until it is cancelled; see the port."""
        tries, random = 0, Random()
        async with KeyLanes(handle, self._settings.lanes, types=types) as lanes:
            while True:
                try:
                    await KafkaConsumer(lanes, partial(Membership, self._settings, topic, group)).run()
                except KafkaException as error:
                    tries += 1
                    _log.error("a consumer joins its group anew", topic=topic, group=group, error=error.args[0].str())
                await asyncio.sleep(_REJOIN.delay(tries, random))

    @property
    def backlog_means(self) -> str:
        return "Kafka: what the group has not committed"

    async def backlog(self, topic: str, group: str) -> int:
        """Returns how many events the group has still to handle, those in hand included."""
        return await self._admin.backlog(topic, group)

    async def close(self) -> None:
        """Closes all connections."""
        await self._publisher.close()
        await self._admin.close()

    async def _limit(self, topic: str) -> int:
        """Returns the most octets of a record. After every failure it is asked again, and so is whether the topic
        still exists."""
        if topic not in self._limits:
            facts = await self._admin.facts(topic)
            if facts is None and topic in self._declared:
                _log.error("a topic was deleted at the broker, with all events in it; it is made again", topic=topic)
                facts = await self._made(topic)
            if facts is None:
                raise BrokerUnavailable(self._missing(topic))
            self._limits[topic] = facts.record_limit
        return self._limits[topic]

    async def _made(self, topic: str) -> TopicFacts:
        facts = await self._admin.facts(topic)
        if facts is None:
            facts = planned(topic, self._settings, await self._admin.brokers())
            await self._admin.create(facts)
        return facts

    def _missing(self, topic: str) -> str:
        return f"Kafka at {self._settings.servers}: the topic {topic!r} does not exist; it must be declared"
