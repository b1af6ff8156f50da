"""What processes know of each other is on their /metrics, and moves as instances come and go."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from souk.discovery.embedded.server import serving_registry
from souk.discovery.open import open_registry
from souk.discovery.registry import Instance
from souk.kernel.clock import SystemClock
from souk.testing.free_ports import free_port
from souk.testing.processes import service

PATIENCE = 60.0
STRANGER = Instance("inventory", "inventory-9", "127.0.0.1:9")


async def shows(process: str, line: str) -> None:
    """Waits until a process's /metrics has the line."""
    async with httpx.AsyncClient(base_url=process, trust_env=False) as client, asyncio.timeout(PATIENCE):
        while line not in (await client.get("/metrics")).text.splitlines():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("name", ["gateway", "order"])
async def test_instances_and_the_registry_s_absence_are_in_the_metrics(tmp_path: Path, name: str) -> None:
    metrics = free_port()
    address = f"http://127.0.0.1:{metrics}"
    async with AsyncExitStack() as stack:
        registry = AsyncExitStack()
        url = (await registry.enter_async_context(serving_registry(tmp_path / "registry.sock"))).url
        stack.push_async_callback(registry.aclose)
        settings = {
            "SOUK_REGISTRY": url,
            "SOUK_METRICS_PORT": str(metrics),
            "SOUK_SECRET": "only-for-this-test-0123456789abcdef",
        }
        await stack.enter_async_context(service(name, tmp_path / "data", settings=settings))
        await shows(address, 'souk_discovery_instances{service="inventory"} 0.0')
        here = await open_registry(url, SystemClock())
        stack.push_async_callback(here.close)
        registration = await here.register(STRANGER)
        await shows(address, 'souk_discovery_instances{service="inventory"} 1.0')
        await registration.leave()
        await shows(address, 'souk_discovery_instances{service="inventory"} 0.0')
        await shows(address, "souk_discovery_registry_away 0.0")
        await registry.aclose()
        await shows(address, "souk_discovery_registry_away 1.0")
