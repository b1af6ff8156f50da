"""One or both ends of a way, in a process that is told what to do by lines of JSON, and answers each with a line.

    python -m bench.events.child WAY END TOPIC BROKER DATABASE

WAY is `bare`, `adapter`, `outbox` or `calls`. END is `source` or `sink`; the source of `calls` has both, and two
databases, with a comma between. BROKER is a URL, and DATABASE a URL or the path of a file.
"""

import asyncio
import importlib
import json
import os
import sys
import time
from collections.abc import Mapping
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import uvloop

from bench.events.ends import Sink, Source, paced, written
from bench.events.messages import Handled
from bench.events.souk_ends import AdapterSink, AdapterSource, InboxSink, OutboxSource, calling, open_database

BARE = {"redis": "redis", "kafka": "kafka", "amqp": "rabbitmq", "sqs": "sqs"}
"""The module of the bare client for each URL's scheme."""


def bare(url: str) -> Any:
    """Gives the module of a broker's bare client."""
    return importlib.import_module(f"bench.events.bare.{BARE[urlsplit(url).scheme]}")


class Child:
    """The ends of this process."""

    def __init__(self, source: Source | None, sink: Sink | None, handled: Handled) -> None:
        self._source = source
        self._sink = sink
        self._handled = handled
        self._running: asyncio.Task[None] | None = None

    async def do(self, what: str, given: Mapping[str, Any]) -> Any:
        """Does one thing; `what` is the name of a method."""
        return await getattr(self, f"_{what}")(**given)

    async def _fill(self, run: str, count: int) -> None:
        await self._end()
        await self.source.fill(run, count)

    async def _send(self) -> list[float]:
        """Sends what was filled in; returns when that began and ended, and its seconds of CPU."""
        began, cpu = time.monotonic(), time.process_time()
        await self.source.send()
        return [began, time.monotonic(), time.process_time() - cpu]

    async def _pace(self, run: str, per_second: float, seconds: float) -> dict[int, float]:
        return await paced(self.source, run, per_second, seconds)

    async def _write(self, run: str, count: int, writers: int) -> float:
        """Sends events one by one; returns when that began."""
        began = time.monotonic()
        await written(self.source, run, count, writers)
        return began

    async def _end(self) -> None:
        await self.source.end()

    async def _consume(self) -> None:
        assert self._sink is not None
        self._running = asyncio.create_task(self._sink.run(self._handled.note))

    async def _handled_any(self, count: int) -> list[float]:
        """Waits for so many events of any run; returns the seconds from the first to the last, and those of CPU."""
        times = self._handled.times
        await self._until(lambda: len(times) >= count)
        spent = (time.process_time() - self._handled.cpu) * count / len(times)
        first, *_, last = islice(times.values(), count)
        return [last - first, spent]

    async def _handled_all(self, run: str, count: int) -> float:
        """Waits for all events of a run; returns when the last of them was handled."""
        await self._until(lambda: self._handled.of(run) >= count)
        return max(self._handled.by_number(run).values())

    async def _times(self, run: str) -> dict[int, float]:
        return self._handled.by_number(run)

    async def _until(self, check: Any) -> None:
        # Looked at now and then: what is measured are the times that were noted.
        while not check():
            if self._running is not None and self._running.done():
                self._running.result()
            await asyncio.sleep(0.01)

    async def _stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        if self._source is not None:
            await self._source.close()

    @property
    def source(self) -> Source:
        """The source, which this process has."""
        assert self._source is not None
        return self._source


async def _made(way: str, end: str, topic: str, url: str, databases: str) -> Child:
    handled = Handled()
    if way == "calls":
        outbox, inbox = [await open_database(one) for one in databases.split(",")]
        return Child(calling(topic, outbox, inbox, handled.note), None, handled)
    if end == "source":
        return Child(await _source(way, topic, url, databases), None, handled)
    return Child(None, _sink(way, topic, url, databases), handled)


async def _source(way: str, topic: str, url: str, database: str) -> Source:
    if way == "outbox":
        return await OutboxSource.open(topic, database, url)
    found: Source = AdapterSource(topic, url) if way == "adapter" else bare(url).BareSource(url)
    return found


def _sink(way: str, topic: str, url: str, database: str) -> Sink:
    if way == "outbox":
        return InboxSink(topic, database, url)
    found: Sink = AdapterSink(topic, url) if way == "adapter" else bare(url).BareSink(url)
    return found


async def _main(way: str, end: str, topic: str, url: str, databases: str) -> None:
    # What is logged goes to where errors go, so that the answers are alone.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    child = await _made(way, end, topic, url, databases)
    print(json.dumps("ready"), file=answers)
    while line := await asyncio.to_thread(sys.stdin.readline):
        given = json.loads(line)
        answer = await child.do(given.pop("do"), given)
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(*sys.argv[1:]))
