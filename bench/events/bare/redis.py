"""redis-py by itself: XADD in pipelines, and XREADGROUP with one XACK for all entries of a read."""

import asyncio
import time

from redis.asyncio import Redis

from bench.events.ends import Note
from bench.events.messages import batches, events
from souk.events.cloud_events import attributes_of

_TOPIC = "bench.bare"
_GROUP = "bare"
_AT_ONCE = 500
Fields = dict[str | bytes, str | bytes]


async def declare(url: str) -> None:
    """Makes the stream and the group."""
    async with Redis.from_url(url) as client:
        await client.xgroup_create(_TOPIC, _GROUP, "0", mkstream=True)


class BareSource:
    """Adds as many entries in one pipeline as a relay hands over at once."""

    def __init__(self, url: str) -> None:
        self._client = Redis.from_url(url)
        self._batches: list[list[Fields]] = []

    async def fill(self, run: str, count: int) -> None:
        self._batches = [
            [{**attributes_of(one), "data": one.payload} for one in batch]
            for batch in batches(events(_TOPIC, run, range(count)))
        ]

    async def send(self) -> None:
        for batch in self._batches:
            async with self._client.pipeline(transaction=False) as pipeline:
                for fields in batch:
                    pipeline.xadd(_TOPIC, fields)
                await pipeline.execute()

    async def begin(self) -> None:
        pass

    async def one(self, run: str, number: int) -> float:
        sent = time.monotonic()
        (event,) = events(_TOPIC, run, range(number, number + 1))
        await self._client.xadd(_TOPIC, {**attributes_of(event), "data": event.payload})
        return sent

    async def end(self) -> None:
        pass

    async def close(self) -> None:
        await self._client.aclose()


class BareSink:
    """Reads batches, and acknowledges each once it is handled."""

    def __init__(self, url: str) -> None:
        self._client = Redis.from_url(url)

    async def run(self, note: Note) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            # The client may swallow a cancellation and answer instead.
            while not task.cancelling():
                answer = await self._client.xreadgroup(_GROUP, "one", {_TOPIC: ">"}, count=_AT_ONCE, block=100)
                for _, entries in answer:
                    for _, fields in entries:
                        note(fields[b"data"])
                    await self._client.xack(_TOPIC, _GROUP, *(entry for entry, _ in entries))
        finally:
            await self._client.aclose()
