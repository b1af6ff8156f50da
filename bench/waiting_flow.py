"""Starts sagas that wait for a message, lets them rest, sends the messages, and prints what that took as JSON.

python -m bench.waiting_flow URL CLIENTS COUNT
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable

from google.protobuf.wrappers_pb2 import StringValue

from souk.kernel.clock import SystemClock
from souk.saga.definition import Refusal, Saga, SagaRef, Step, StepCall
from souk.saga.runner import SagaRunner
from souk.saga.waiting.saga_message import SagaMessage
from souk.saga.waits import receive
from souk.store.database import Transaction
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.postgres.database import PostgresDatabase
from souk.telemetry.proc import resident_bytes

LIMIT = 3_600.0


async def _step(call: StepCall) -> StringValue:
    return StringValue(value=f"result of {call.key}")


async def _rejected(tx: Transaction, call: StepCall, refusal: Refusal) -> None:
    """Records nothing."""


SAGA = Saga(
    "bench",
    Step("one", do=_step),
    receive("approval", limit=LIMIT),
    Step("two", do=_step, pivot=True),
    rejected=_rejected,
)


async def _each(clients: int, count: int, work: Callable[[str], Awaitable[object]]) -> float:
    """Does the work for `count` subjects, `clients` at once; returns the seconds."""
    began, subjects = time.monotonic(), iter(range(count))

    async def client() -> None:
        for subject in subjects:
            await work(f"S-{subject}")

    await asyncio.gather(*(client() for _ in range(clients)))
    return time.monotonic() - began


async def main(url: str, clients: int, count: int) -> None:
    """Measures `count` sagas."""
    database = await PostgresDatabase.open(url)
    await migrate(database, platform_migrations(), PLATFORM)
    clock = SystemClock()
    runner = SagaRunner(database, [SAGA], clock, "bench", service="bench")
    work = asyncio.create_task(runner.run())
    gc.collect()
    before, began = resident_bytes(), time.monotonic()

    async def start(subject: str) -> None:
        await database.run(lambda tx: runner.start(tx, "bench", subject, 1, b"input"), guarded=True)

    async def deliver(subject: str) -> None:
        message = SagaMessage("approval", subject, subject, b"yes")
        await database.run(lambda tx: runner.deliver(tx, message), guarded=True)

    await _each(clients, count, start)
    while (await runner.counts()).get(("bench", "waiting"), 0) < count:
        await asyncio.sleep(0.05)
    started = time.monotonic() - began
    gc.collect()
    memory, began = resident_bytes() - before, time.monotonic()
    await _each(clients, count, deliver)
    for subject in range(count):
        progress = await runner.wait_ended(SagaRef("bench", f"S-{subject}", 1), clock.monotonic() + 300)
        assert progress.ended
    ended = time.monotonic() - began
    print(json.dumps({"done": count, "started": started, "memory": memory, "ended": ended}))
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
