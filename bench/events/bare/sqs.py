"""aiobotocore by itself: batches of ten to a FIFO queue over several requests at once, received and deleted by ten."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import Any
from zlib import crc32

from aiobotocore.session import get_session
from soukapi.v1.event_pb2 import Event

from bench.events.ends import Note
from bench.events.messages import batches, events
from souk.events.brokers.sqs.settings import settings_of
from souk.events.cloud_events import from_json, to_json

_TOPIC = "bench.bare"
_QUEUE = "bare.fifo"
_TEN = 10
"""What SQS takes or gives at most in one request."""
_SENDERS, _RECEIVERS = 16, 4


@asynccontextmanager
async def _client(url: str) -> Any:
    given = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
    async with get_session().create_client("sqs", endpoint_url=settings_of(url).endpoint, **given) as client:
        yield client


async def declare(url: str) -> None:
    """Makes the queue."""
    async with _client(url) as client:
        attributes = {"FifoQueue": "true", "DeduplicationScope": "messageGroup", "VisibilityTimeout": "30"}
        await client.create_queue(QueueName=_QUEUE, Attributes=attributes)


class BareSource:
    """Sends each key's messages one request after the other, and those of other keys at the same time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened: Any = None
        self._client: Any = None
        self._queue = ""
        self._batches: list[list[list[dict[str, str]]]] = []

    async def fill(self, run: str, count: int) -> None:
        await self.begin()
        self._batches = [_spread(batch) for batch in batches(events(_TOPIC, run, range(count)))]

    async def send(self) -> None:
        for lanes in self._batches:
            await asyncio.gather(*(self._send(lane) for lane in lanes))

    async def begin(self) -> None:
        if self._client is None:
            self._opened = _client(self._url)
            self._client = await self._opened.__aenter__()
            self._queue = (await self._client.get_queue_url(QueueName=_QUEUE))["QueueUrl"]

    async def one(self, run: str, number: int) -> float:
        sent = time.monotonic()
        await self._send([_entry(event) for event in events(_TOPIC, run, range(number, number + 1))])
        return sent

    async def end(self) -> None:
        pass

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.__aexit__(None, None, None)

    async def _send(self, entries: Sequence[dict[str, str]]) -> None:
        for start in range(0, len(entries), _TEN):
            answer = await self._client.send_message_batch(QueueUrl=self._queue, Entries=entries[start : start + _TEN])
            assert not answer.get("Failed"), "the broker has not stored everything"


class BareSink:
    """Receives ten at once over several requests, and deletes them once they are handled."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def run(self, note: Note) -> None:
        async with _client(self._url) as client:
            queue = (await client.get_queue_url(QueueName=_QUEUE))["QueueUrl"]
            async with asyncio.TaskGroup() as tasks:
                for _ in range(_RECEIVERS):
                    tasks.create_task(_receive(client, queue, note))


async def _receive(client: Any, queue: str, note: Note) -> None:
    while True:
        answer = await client.receive_message(QueueUrl=queue, MaxNumberOfMessages=_TEN, WaitTimeSeconds=1)
        found = answer.get("Messages", ())
        for message in found:
            note(from_json(message["Body"]).payload)
        if found:
            entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(found)]
            await client.delete_message_batch(QueueUrl=queue, Entries=entries)


def _spread(batch: Sequence[Event]) -> list[list[dict[str, str]]]:
    lanes: list[list[dict[str, str]]] = [[] for _ in range(_SENDERS)]
    for event in batch:
        lanes[crc32(event.key.encode()) % _SENDERS].append(_entry(event))
    return lanes


def _entry(event: Event) -> dict[str, str]:
    name = event.id.rpartition("-")[2].replace(" ", "_")
    return {
        "Id": name[-60:],
        "MessageBody": to_json(event),
        "MessageGroupId": event.key,
        "MessageDeduplicationId": name,
    }
