"""Runs workflows of three steps on DBOS, in a closed loop of `clients`, and prints what they took as JSON.

python flow.py URL CLIENTS SECONDS
"""

import asyncio
import json
import resource
import sys
import time

from dbos import DBOS

URL, CLIENTS, SECONDS = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
DBOS(config={"name": "bench", "system_database_url": URL, "log_level": "ERROR", "run_admin_server": False})


@DBOS.step()
async def step(number: int) -> str:
    return f"result {number}"


@DBOS.workflow()
async def flow() -> str:
    return "".join([await step(number) for number in range(3)])


async def main() -> None:
    DBOS.launch()
    for _ in range(20):
        await flow()
    used, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()

    async def client() -> int:
        done = 0
        while time.monotonic() - began < SECONDS:
            await flow()
            done += 1
        return done

    done = sum(await asyncio.gather(*(client() for _ in range(CLIENTS))))
    spent, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    print(json.dumps({"done": done, "seconds": spent, "cpu": cpu}))
    DBOS.destroy()


asyncio.run(main())
