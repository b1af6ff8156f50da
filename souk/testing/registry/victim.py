"""A process that registers one instance and then only keeps its lease, until something ends it.

python -m souk.testing.registry.victim <registry's URL> <service> <id> <host:port>
"""

import asyncio
import os
import sys

from souk.discovery.open import open_registry
from souk.discovery.registry import Instance
from souk.kernel.clock import SystemClock


async def _main(url: str, service: str, name: str, address: str) -> None:
    registry = await open_registry(url, SystemClock())
    await registry.register(Instance(service, name, address))
    os.write(1, b"registered\n")
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
