"""Lets sagas rest, wakes all of them while no runner is there, and measures one that comes; and how late timers end.

    python -m bench.waking URL COUNT

Prints JSON: `woken` is the seconds from the runner's start until all have ended, `cpu` those of this process meanwhile,
`taken` the most that were in hand at once; `late` is by how many milliseconds timers were late: the median, the most.
"""

import asyncio
import json
import random
import statistics
import sys
import time
from functools import partial

from google.protobuf.wrappers_pb2 import StringValue

from bench.waiting_flow import SAGA, _each
from souk.kernel.clock import SystemClock
from souk.saga.definition import Saga, Step, StepCall
from souk.saga.runner import SagaRunner
from souk.saga.waiting.saga_message import SagaMessage
from souk.saga.waits import timer
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.postgres.database import PostgresDatabase

_CLOCK = SystemClock()
_TIMERS = 100
_NEAREST, _FARTHEST = 500_000, 3_000_000
"""Microseconds from the start of a timer to its end."""


async def woken(database: PostgresDatabase, count: int) -> dict[str, float]:
    """Measures how long `count` runs take that were all woken before."""
    runner = SagaRunner(database, [SAGA], _CLOCK, "first", service="bench")
    work = asyncio.create_task(runner.run())
    await _each(16, count, lambda subject: database.run(lambda tx: runner.start(tx, "bench", subject, 1, b"input")))
    while (await runner.counts()).get(("bench", "waiting"), 0) < count:
        await asyncio.sleep(0.05)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    delivered = await _each(
        16,
        count,
        lambda one: database.run(lambda tx: runner.deliver(tx, SagaMessage("approval", one, one, b"")), guarded=True),
    )
    runner = SagaRunner(database, [SAGA], _CLOCK, "second", service="bench")
    began, cpu, taken = time.monotonic(), time.process_time(), 0
    work = asyncio.create_task(runner.run())
    while await runner.counts():
        taken = max(taken, len(runner._tasks))
        await asyncio.sleep(0.05)
    ended = {"woken": time.monotonic() - began, "cpu": time.process_time() - cpu, "taken": taken}
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    return {"done": count, "delivered": delivered, **ended}


async def late(database: PostgresDatabase) -> list[float]:
    """Measures by how many milliseconds timers end late: the median, and the most."""
    found: list[float] = []

    async def note(call: StepCall) -> StringValue:
        found.append((_CLOCK.now() - int(call.input)) / 1_000)
        return StringValue()

    saga = Saga(
        "late", Step("begin", pivot=True), timer("wait", at=lambda call: int(call.input)), Step("note", do=note)
    )
    runner = SagaRunner(database, [saga], _CLOCK, "timers", service="bench")
    work = asyncio.create_task(runner.run())
    for number in range(_TIMERS):
        end = str(_CLOCK.now() + random.randint(_NEAREST, _FARTHEST)).encode()
        await database.run(partial(runner.start, saga_name="late", subject=f"T-{number}", attempt=1, input=end))
    while len(found) < _TIMERS:
        await asyncio.sleep(0.05)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    return [statistics.median(found), max(found)]


async def main(url: str, count: int) -> None:
    """Measures both, on a database of its own."""
    database = await PostgresDatabase.open(url)
    await migrate(database, platform_migrations(), PLATFORM)
    print(json.dumps({"late": await late(database), **await woken(database, count)}))
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
