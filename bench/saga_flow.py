"""Runs sagas of three steps, in a closed loop of `clients`, and prints what they took as JSON.

python -m bench.saga_flow URL CLIENTS SECONDS
"""

import asyncio
import json
import resource
import sys
import time
from uuid import uuid4

from google.protobuf.wrappers_pb2 import StringValue

from souk.kernel.clock import SystemClock
from souk.saga.definition import Refusal, Saga, Step, StepCall
from souk.saga.runner import SagaRunner
from souk.store.database import Transaction
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.postgres.database import PostgresDatabase


async def _step(call: StepCall) -> StringValue:
    return StringValue(value=f"result of {call.key}")


async def _back(call: StepCall) -> None:
    """Takes nothing back: no step is refused here."""


async def _rejected(tx: Transaction, call: StepCall, refusal: Refusal) -> None:
    """Records nothing."""


SAGA = Saga(
    "bench",
    Step("one", do=_step, undo=_back),
    Step("two", do=_step, undo=_back),
    Step("three", do=_step, pivot=True),
    rejected=_rejected,
)


async def main(url: str, clients: int, seconds: float) -> None:
    """Runs sagas for so many seconds."""
    database = await PostgresDatabase.open(url)
    await migrate(database, platform_migrations(), PLATFORM)
    clock = SystemClock()
    runner = SagaRunner(database, [SAGA], clock, "bench", service="bench")

    async def one() -> None:
        ref = await database.run(
            lambda tx: runner.start(tx, "bench", uuid4().hex, 1, b"input"), guarded=True, grouped=True
        )
        progress = await runner.wait_ended(ref, clock.monotonic() + 60)
        assert progress.ended

    for _ in range(20):
        await one()
    used, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()

    async def client() -> int:
        done = 0
        while time.monotonic() - began < seconds:
            await one()
            done += 1
        return done

    done = sum(await asyncio.gather(*(client() for _ in range(clients))))
    spent, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    print(json.dumps({"done": done, "seconds": spent, "cpu": cpu}))
    await runner.close()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
