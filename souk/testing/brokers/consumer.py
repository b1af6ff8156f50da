"""A consumer in a process of its own, for tests that kill it or stop it: it writes a line for each event it handled.

    python -m souk.testing.brokers.consumer URL TOPIC GROUP FILE [--die-at NUMBER]

A line is "key number", written and flushed before the event is acknowledged. With `--die-at` the process ends by
itself after it wrote the line of that number: handled, and never acknowledged.
"""

import argparse
import asyncio
import os
from pathlib import Path

from soukapi.v1.event_pb2 import Event

from souk.events.brokers.by_url import open_broker
from souk.testing.brokers.harness import number_of


async def consume(url: str, topic: str, group: str, file: Path, die_at: int) -> None:
    """Consumes until the process is ended."""

    async def handle(event: Event) -> None:
        with file.open("a") as lines:
            lines.write(f"{event.key} {number_of(event)}\n")
            lines.flush()
        if number_of(event) == die_at:
            # Long enough for an acknowledgement that was sent too early to reach the broker.
            await asyncio.sleep(0.5)
            os._exit(9)

    await open_broker(url).consume(topic, group, handle)


def main() -> None:
    """Reads the command line, and consumes."""
    parser = argparse.ArgumentParser()
    for name in ("url", "topic", "group"):
        parser.add_argument(name)
    parser.add_argument("file", type=Path)
    parser.add_argument("--die-at", type=int, default=-1)
    given = parser.parse_args()
    asyncio.run(consume(given.url, given.topic, given.group, given.file, given.die_at))


if __name__ == "__main__":
    main()
