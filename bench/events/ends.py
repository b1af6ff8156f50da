"""The two ends of a way for events; a process of its own has one of them, or both."""

import asyncio
from collections.abc import Callable
from typing import Protocol

Note = Callable[[bytes], None]
"""Takes the payload of an event that was handled."""


class Source(Protocol):
    """Where events begin."""

    async def fill(self, run: str, count: int) -> None:
        """Prepares so many events, so that `send` has nothing else to do than to send them."""
        ...

    async def send(self) -> None:
        """Sends what was prepared; returns once the other side has stored all of it."""
        ...

    async def begin(self) -> None:
        """Prepares for `one`."""
        ...

    async def one(self, run: str, number: int) -> float:
        """Sends one event; returns since when it counts as sent, in seconds of the monotonic clock."""
        ...

    async def end(self) -> None:
        """Ends what `begin` began."""
        ...

    async def close(self) -> None:
        """Closes everything."""
        ...


class Sink(Protocol):
    """Where events end."""

    async def run(self, note: Note) -> None:
        """Handles events until it is cancelled; then acknowledges what was handled."""
        ...


async def paced(source: Source, run: str, per_second: float, seconds: float) -> dict[int, float]:
    """Sends events one by one at a steady rate; returns when each was sent, by its number."""
    loop, tasks = asyncio.get_running_loop(), []
    start = loop.time()
    await source.begin()
    for number in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, start + number / per_second - loop.time()))
        tasks.append(asyncio.create_task(source.one(run, number)))
    sent = await asyncio.gather(*tasks)
    return dict(enumerate(sent))


async def written(source: Source, run: str, count: int, writers: int) -> None:
    """Sends events one by one as fast as so many writers can."""
    numbers = iter(range(count))

    async def write() -> None:
        for number in numbers:
            await source.one(run, number)

    await source.begin()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(writers):
            tasks.create_task(write())
