"""Publishes to a topic of SNS, or to each queue of a topic: a result comes from what the broker answered alone."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from cachetools import TTLCache
from soukapi.v1.event_pb2 import DeliveryResult, Event

from souk.events.broker import BrokerUnavailable
from souk.events.brokers.sqs.link import AwsClients, QueueMissing, SqsLink
from souk.events.brokers.sqs.messages import OutgoingMessage, body_of, poison, requests_of
from souk.events.brokers.sqs.names import message_group

_WINDOW = 300.0
"""Seconds for which the broker takes and drops a message with a deduplication id that it has seen."""
_UNSURE = 10_000
"""The most events without a result whose deduplication ids are remembered."""
_REQUESTS = 10
"""Requests at once."""
_NEVER = frozenset({"InvalidMessageContents", "InvalidParameterValue", "MessageTooLong"})
"""The codes that say that the sender's message can never be stored."""


@dataclass(slots=True)
class SqsBatch:
    """What became of the events of one `publish`: by their number, why one is poison, and where one is stored."""

    events: Sequence[Event]
    poison: dict[int, str] = field(default_factory=dict)
    stored: dict[str, set[int]] = field(default_factory=dict)
    errors: list[BrokerUnavailable] = field(default_factory=list)

    @property
    def missing(self) -> bool:
        """Whether a queue or a topic is gone."""
        return any(isinstance(error, QueueMissing) for error in self.errors)

    def is_stored(self, number: int) -> bool:
        """Whether an event is stored everywhere."""
        return all(number in found for found in self.stored.values())

    def results(self) -> list[DeliveryResult]:
        """Returns the results; an event behind one of its key that has none gets none."""
        found: list[DeliveryResult] = []
        broken: set[str] = set()
        for number, event in enumerate(self.events):
            if event.key in broken:
                continue
            if number in self.poison:
                found.append(DeliveryResult(event_id=event.id, poison=self.poison[number]))
            elif self.is_stored(number):
                found.append(DeliveryResult(event_id=event.id))
            else:
                broken.add(event.key)
        return found


class SqsPublisher:
    """Publishes for any number of tasks."""

    def __init__(self, link: SqsLink) -> None:
        self._link = link
        self._unsure: TTLCache[tuple[str, str], str] = TTLCache(_UNSURE, _WINDOW)

    async def publish(self, topic: str, events: Sequence[Event], targets: Collection[str], limit: int) -> SqsBatch:
        """Sends events to the targets, each the URL of a queue or the ARN of a topic of SNS.

        A message has at most `limit` bytes. Returns what became of the events within the settings' patience.
        """
        batch = SqsBatch(events, stored={target: set() for target in targets})
        messages = self._messages(topic, batch, limit)
        requests = asyncio.Semaphore(_REQUESTS)
        tasks = [
            asyncio.create_task(self._send(target, messages, limit, batch, requests), name="events to a queue")
            for target in targets
        ]
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=self._link.settings.patience)
        finally:
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if task.cancelled():
                batch.errors.append(BrokerUnavailable(f"{self._link.settings.server} does not answer in time"))
            elif error := task.exception():
                raise error
        for message in messages:
            if batch.is_stored(message.number):
                self._unsure.pop((topic, events[message.number].id), None)
        return batch

    def _messages(self, topic: str, batch: SqsBatch, limit: int) -> list[OutgoingMessage]:
        found: list[OutgoingMessage] = []
        for number, event in enumerate(batch.events):
            body = body_of(event)
            if why := poison(event, body, limit):
                batch.poison[number] = why
                continue
            # With the same id again while it is not known whether an event is stored, so that one that comes late
            # does not come behind later ones of its key; with a new one afterwards, because it is meant to come then.
            name = self._unsure.setdefault((topic, event.id), uuid4().hex)
            found.append(OutgoingMessage(number, message_group(event.key), body, name))
        return found

    async def _send(
        self,
        target: str,
        messages: Sequence[OutgoingMessage],
        limit: int,
        batch: SqsBatch,
        requests: asyncio.Semaphore,
    ) -> None:
        """Sends all messages to a target, of each group one at a time; a group ends at the first that is not stored."""
        groups: dict[str, deque[OutgoingMessage]] = {}
        for message in messages:
            groups.setdefault(message.group, deque()).append(message)

        async def request(sent: list[OutgoingMessage]) -> None:
            async with requests:
                done = await self._request(target, sent, batch)
            for message in sent:
                groups[message.group].popleft()
                if message.number not in done:
                    groups[message.group].clear()

        while first := [waiting[0] for waiting in groups.values() if waiting]:
            await asyncio.gather(*(request(sent) for sent in requests_of(first, limit)))

    async def _request(self, target: str, sent: list[OutgoingMessage], batch: SqsBatch) -> set[int]:
        """Sends one request; returns the numbers of those behind which the next of their groups may be sent."""
        try:
            clients = await self._link.clients()
            answer = await self._link.ask(_call(clients, target, sent))
        except BrokerUnavailable as error:
            batch.errors.append(error)
            return set()
        stored = {int(entry["Id"]) for entry in answer.get("Successful", [])}
        batch.stored[target] |= stored
        for entry in answer.get("Failed", []):
            if entry.get("SenderFault") and entry.get("Code") in _NEVER:
                batch.poison[int(entry["Id"])] = f"the broker refuses it: {entry['Code']}: {entry.get('Message', '')}"
            else:
                batch.errors.append(BrokerUnavailable(f"{self._link.settings.server} refuses an event: {entry}"))
        return stored | batch.poison.keys()


def _call(clients: AwsClients, target: str, sent: list[OutgoingMessage]) -> Awaitable[Any]:
    names = [
        {"Id": str(one.number), "MessageGroupId": one.group, "MessageDeduplicationId": one.deduplication}
        for one in sent
    ]
    if target.startswith("arn:"):
        topics: Any = [{**name, "Message": one.body} for name, one in zip(names, sent, strict=True)]
        return clients.sns.publish_batch(TopicArn=target, PublishBatchRequestEntries=topics)
    queues: Any = [{**name, "MessageBody": one.body} for name, one in zip(names, sent, strict=True)]
    return clients.sqs.send_message_batch(QueueUrl=target, Entries=queues)
