"""The broker port on SQS."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from soukapi.v1.event_pb2 import DeliveryResult, Event

from souk.events.broker import Guarantees, Handle
from souk.events.brokers.sqs.consumer import SqsConsumer
from souk.events.brokers.sqs.link import QueueMissing, SqsLink
from souk.events.brokers.sqs.messages import payload_of
from souk.events.brokers.sqs.names import queue_name
from souk.events.brokers.sqs.publisher import SqsPublisher
from souk.events.brokers.sqs.settings import SqsSettings
from souk.events.brokers.sqs.topology import LARGEST, LARGEST_OF_SNS, LONGEST, SqsTopology, unfit
from souk.telemetry.logs import logger

_log = logger("events")
_NO_REPLAY = "a queue holds what was published after its group was declared, and forgets what its group has handled"
_COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")


class SqsBroker:
    """Stores events in FIFO queues of SQS.

    A topic or a queue that was declared here and is deleted while it is in use is made again: by whoever consumes from
    it, and by publishing. The events in a deleted queue, or in one that is purged, are lost.
    """

    system = "aws_sqs"

    def __init__(self, settings: SqsSettings) -> None:
        self._settings = settings
        self._link = SqsLink(settings)
        self._topology = SqsTopology(self._link)
        self._publisher = SqsPublisher(self._link)
        self._declared: dict[str, set[str]] = defaultdict(set)
        self._arns: dict[str, str] = {}

    async def inspect(self) -> Guarantees:
        """Returns what the queues of the declared groups guarantee; see the port.

        SQS keeps an event in several data centres before it answers. What another server of its API does it cannot be
        asked.
        """
        found, keeps = [], float(LONGEST)
        limit = LARGEST_OF_SNS if self._settings.has_sns else LARGEST
        for topic in list(self._declared) or [""]:
            for name, url in (await self._topology.queues(topic)).items():
                attributes = await self._topology.attributes(url)
                found.append(unfit(name, attributes))
                keeps = min(keeps, float(attributes.get("MessageRetentionPeriod", keeps)))
                limit = min(limit, int(attributes.get("MaximumMessageSize", limit)))
        says = "; ".join(filter(None, found))
        return Guarantees(durable=says, ordered=says, replays=_NO_REPLAY, largest=payload_of(limit), keeps=keeps)

    async def declare(self, topic: str, groups: Collection[str]) -> None:
        """Makes a topic and its groups if they are missing; see the port."""
        await self._topology.declare(topic, groups)
        self._declared[topic].update(groups)

    async def publish(self, topic: str, events: Sequence[Event]) -> Sequence[DeliveryResult]:
        """Stores events; see the port."""
        if not events:
            return []
        targets, limit = await self._targets(topic)
        batch = await self._publisher.publish(topic, events, targets, limit)
        if batch.missing:
            await self._restore(topic)
        if not (results := batch.results()):
            raise batch.errors[0]
        return results

    async def consume(self, topic: str, group: str, handle: Handle, types: Collection[str] = ()) -> None:
        """Hands the group's events to `handle` until it is cancelled; see the port."""
        await SqsConsumer(self._link, self._topology, topic, group, handle, types).run()

    @property
    def backlog_means(self) -> str:
        return "SQS: about what is in its queue; at AWS up to a minute old"

    async def backlog(self, topic: str, group: str) -> int:
        """Returns how many events the group has still to handle. At AWS it may be a minute old."""
        attributes = await self._topology.attributes(await self._topology.queue(topic, group))
        return sum(int(attributes.get(name, 0)) for name in _COUNTS)

    async def close(self) -> None:
        """Closes all connections."""
        await self._link.close()

    async def _targets(self, topic: str) -> tuple[list[str], int]:
        """Returns where the events of a topic are sent to, and how large a message may be."""
        if topic in self._arns:
            return [self._arns[topic]], LARGEST_OF_SNS
        queues = await self._topology.queues(topic)
        if self._wanted(topic) - queues.keys():
            await self._restore(topic)
            queues = await self._topology.queues(topic)
        if not queues and topic in self._declared and not self._declared[topic]:
            return [], LARGEST  # nobody subscribes to it, so there is nobody to keep an event for
        if not queues:
            raise QueueMissing(f"{self._settings.server}: the topic {topic!r} has no queue; it must be declared")
        if not self._settings.has_sns:
            return list(queues.values()), LARGEST
        self._arns[topic] = await self._topology.topic_of_queue(topic, next(iter(queues.values())))
        return [self._arns[topic]], LARGEST_OF_SNS

    def _wanted(self, topic: str) -> set[str]:
        return {queue_name(self._settings.prefix, topic, group) for group in self._declared.get(topic, ())}

    async def _restore(self, topic: str) -> None:
        """Makes again what was declared here and is gone."""
        self._arns.pop(topic, None)
        if groups := self._declared.get(topic):
            _log.error("a topic or a queue of it was deleted at the broker; it is made again", topic=topic)
            await self.declare(topic, set(groups))
