"""The queues of a topic, and the topic of SNS that they are subscribed to: how they are found and made."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from souk.events.brokers.sqs.link import QueueMissing, SqsLink
from souk.events.brokers.sqs.names import queue_name, queues_begin, topic_name

LARGEST, LARGEST_OF_SNS = 1 << 20, 256 << 10
"""The most bytes of a message, and of a request with several: of SQS, and of SNS."""
LONGEST = 14 * 86_400
"""The most seconds for which SQS keeps a message."""
_ATTRIBUTES = {"FifoQueue": "true", "MaximumMessageSize": str(LARGEST), "MessageRetentionPeriod": str(LONGEST)}
_AT_AWS = {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
"""What lets a queue take more than 300 requests a second; servers that are not AWS may not know it."""
_TOPIC = {"FifoTopic": "true", "ContentBasedDeduplication": "false"}


class SqsTopology:
    """Finds and makes queues and topics over `link`."""

    def __init__(self, link: SqsLink) -> None:
        self._link = link
        self._settings = link.settings

    async def declare(self, topic: str, groups: Collection[str]) -> None:
        """Makes the topic, the queues of these groups and their subscriptions, if they are missing."""
        arn = await self._make_topic(topic) if self._settings.has_sns else ""
        for group in groups:
            queue = await self._make_queue(topic, group)
            if arn:
                await self._subscribe(arn, queue)

    async def queues(self, topic: str) -> dict[str, str]:
        """Returns the URLs of the topic's queues by their names."""
        clients, begin = await self._link.clients(), queues_begin(self._settings.prefix, topic)
        found: list[str] = []
        more: dict[str, str] = {}
        while True:
            answer = await self._link.ask(clients.sqs.list_queues(QueueNamePrefix=begin, MaxResults=1_000, **more))
            found += answer.get("QueueUrls", [])
            if not answer.get("NextToken"):
                return {url.rsplit("/", 1)[-1]: url for url in found}
            more = {"NextToken": answer["NextToken"]}

    async def queue(self, topic: str, group: str) -> str:
        """Returns the URL of a group's queue. Raises QueueMissing."""
        clients, name = await self._link.clients(), queue_name(self._settings.prefix, topic, group)
        return (await self._link.ask(clients.sqs.get_queue_url(QueueName=name)))["QueueUrl"]

    async def topic_of_queue(self, topic: str, queue: str) -> str:
        """Returns the ARN of a topic, which may not exist: in the account and the region of one of its queues."""
        arn = (await self.attributes(queue))["QueueArn"].split(":")
        return ":".join([*arn[:2], "sns", *arn[3:5], topic_name(self._settings.prefix, topic)])

    async def attributes(self, queue: str) -> Mapping[str, str]:
        """Returns all attributes of the queue at this URL. Raises QueueMissing."""
        clients = await self._link.clients()
        answer = await self._link.ask(clients.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"]))
        found: Mapping[str, str] = answer.get("Attributes", {})  # type: ignore[assignment]
        return found

    async def _make_topic(self, topic: str) -> str:
        clients, name = await self._link.clients(), topic_name(self._settings.prefix, topic)
        return (await self._link.ask(clients.sns.create_topic(Name=name, Attributes=_TOPIC)))["TopicArn"]

    async def _make_queue(self, topic: str, group: str) -> str:
        try:
            return await self.queue(topic, group)
        except QueueMissing:
            clients, name = await self._link.clients(), queue_name(self._settings.prefix, topic, group)
            attributes: Any = _ATTRIBUTES if self._settings.endpoint else {**_ATTRIBUTES, **_AT_AWS}
            return (await self._link.ask(clients.sqs.create_queue(QueueName=name, Attributes=attributes)))["QueueUrl"]

    async def _subscribe(self, topic_arn: str, queue: str) -> None:
        found = await self.attributes(queue)
        clients = await self._link.clients()
        if topic_arn not in found.get("Policy", ""):
            policy: Any = {"Policy": _policy(found, topic_arn)}
            await self._link.ask(clients.sqs.set_queue_attributes(QueueUrl=queue, Attributes=policy))
        raw = {"RawMessageDelivery": "true"}
        await self._link.ask(
            clients.sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=found["QueueArn"], Attributes=raw)
        )


def unfit(name: str, attributes: Mapping[str, str]) -> str:
    """Returns why events in a queue with these attributes may be lost; empty if they may not."""
    if attributes.get("FifoQueue") != "true":
        return f"the queue {name} is no FIFO queue"
    if attributes.get("RedrivePolicy"):
        return f"the queue {name} has a RedrivePolicy: it takes events away that were handed out several times"
    return ""


def _policy(attributes: Mapping[str, str], topic_arn: str) -> str:
    """Returns the queue's policy with leave for the topic to send to it."""
    policy: dict[str, Any] = json.loads(attributes.get("Policy") or "{}")
    policy.setdefault("Version", "2012-10-17")
    policy["Statement"] = [
        *policy.get("Statement", []),
        {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": attributes["QueueArn"],
            "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
        },
    ]
    return json.dumps(policy)
