"""Starts workflows on DBOS that wait for a message, sends the messages, and prints what that took as JSON.

python waiting.py URL CLIENTS COUNT
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from dbos import DBOS

URL, CLIENTS, COUNT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
DBOS(config={"name": "bench", "system_database_url": URL, "log_level": "ERROR", "run_admin_server": False})


@DBOS.step()
async def step(number: int) -> str:
    return f"result {number}"


@DBOS.workflow()
async def flow() -> str:
    await step(1)
    waiting.append(DBOS.workflow_id)
    message = await DBOS.recv_async("approval", 3_600)
    return f"{message} {await step(2)}"


waiting: list[str] = []
handles: list = []


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def each(count: int, work: Callable[[int], Awaitable[object]]) -> None:
    numbers = iter(range(count))

    async def client() -> None:
        for number in numbers:
            await work(number)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


async def main() -> None:
    DBOS.launch()
    gc.collect()
    before, began = resident_bytes(), time.monotonic()

    async def start(number: int) -> None:
        handles.append(await DBOS.start_workflow_async(flow))

    async def send(number: int) -> None:
        await DBOS.send_async(waiting[number], "yes", "approval")

    await each(COUNT, start)
    while len(waiting) < COUNT:
        await asyncio.sleep(0.05)
    started = time.monotonic() - began
    await asyncio.sleep(2)
    gc.collect()
    memory, began = resident_bytes() - before, time.monotonic()
    await each(COUNT, send)
    for handle in handles:
        await handle.get_result()
    ended = time.monotonic() - began
    print(json.dumps({"done": COUNT, "started": started, "memory": memory, "ended": ended}))
    DBOS.destroy()


asyncio.run(main())
