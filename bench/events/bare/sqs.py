"""aiobotocore by itself: requests of ten messages to a FIFO queue, ten requests at once, and each message deleted."""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from aiobotocore.session import get_session

from bench.events.ends import Note
from bench.events.messages import batches, events
from souk.events.cloud_events import from_json, to_json

_TOPIC = "bench.bare"
_QUEUE = "bench-bare.fifo"
_AT_ONCE = 10
Entries = list[dict[str, str]]


def _client(url: str) -> Any:
    keys = {"aws_access_key_id": "bench", "aws_secret_access_key": "bench", "region_name": "us-east-1"}
    return get_session().create_client("sqs", endpoint_url=f"http://{urlsplit(url).netloc}", **keys)


async def declare(url: str) -> None:
    """Makes the queue."""
    async with _client(url) as client:
        await client.create_queue(QueueName=_QUEUE, Attributes={"FifoQueue": "true"})


def _entry(number: int, event: Any) -> dict[str, str]:
    return {
        "Id": str(number),
        "MessageBody": to_json(event),
        "MessageGroupId": event.key,
        "MessageDeduplicationId": uuid4().hex,
    }


class BareSource:
    """Sends as many messages at the same time as a relay hands over at once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._queue = ""
        self._batches: list[list[Entries]] = []

    async def fill(self, run: str, count: int) -> None:
        await self.begin()
        self._batches = []
        for batch in batches(events(_TOPIC, run, range(count))):
            entries = [_entry(number, one) for number, one in enumerate(batch)]
            self._batches.append([entries[at : at + _AT_ONCE] for at in range(0, len(entries), _AT_ONCE)])

    async def send(self) -> None:
        for batch in self._batches:
            await asyncio.gather(*(self._send(entries) for entries in batch))

    async def _send(self, entries: Entries) -> None:
        answer = await self._client.send_message_batch(QueueUrl=self._queue, Entries=entries)
        assert len(answer["Successful"]) == len(entries), "the broker has not stored everything"

    async def begin(self) -> None:
        if self._client is None:
            self._client = await self._stack.enter_async_context(_client(self._url))
            self._queue = (await self._client.get_queue_url(QueueName=_QUEUE))["QueueUrl"]

    async def one(self, run: str, number: int) -> float:
        sent = time.monotonic()
        (event,) = events(_TOPIC, run, range(number, number + 1))
        await self._send([_entry(0, event)])
        return sent

    async def end(self) -> None:
        pass

    async def close(self) -> None:
        await self._stack.aclose()


class BareSink:
    """Handles and deletes the messages of one request after the other."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def run(self, note: Note) -> None:
        async with _client(self._url) as client:
            queue = (await client.get_queue_url(QueueName=_QUEUE))["QueueUrl"]
            while True:
                answer = await client.receive_message(QueueUrl=queue, MaxNumberOfMessages=_AT_ONCE, WaitTimeSeconds=2)
                found = answer.get("Messages", [])
                for message in found:
                    note(from_json(message["Body"]).payload)
                if found:
                    done = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(found)]
                    await client.delete_message_batch(QueueUrl=queue, Entries=done)
