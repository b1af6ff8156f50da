"""Load shedding as a client sees it, at a system that really runs."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import httpx

from souk.testing.processes import PATIENCE, system

WAITING = {"email": "a@souk.test", "password": "wait-for-me"}
KEYS, LOGIN, MOST = "/.well-known/jwks.json", "/api/v1/auth/token", 5


async def _running(client: httpx.AsyncClient, number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while f"souk_gateway_running {number}.0" not in (await client.get("/metrics")).text:
            await asyncio.sleep(0.01)


async def test_browsing_is_refused_first_and_health_never(tmp_path: Path, tiny: Mapping[str, str]) -> None:
    data = tmp_path / "data"
    settings = {**tiny, "SOUK_LIMITS": "enforce", "SOUK_RUNNING_REQUESTS": str(MOST)}
    async with (
        system(data, "--demo", settings=settings) as up,
        httpx.AsyncClient(base_url=up.address, timeout=PATIENCE) as client,
        asyncio.TaskGroup() as tasks,
    ):
        waiting = [tasks.create_task(client.post(LOGIN, json=WAITING)) for _ in range(3)]
        await _running(client, 3)
        refused = await client.get(KEYS)
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "OVERLOADED", "1")
        waiting.append(tasks.create_task(client.post(LOGIN, json=WAITING)))
        await _running(client, 4)
        assert (await client.post(LOGIN, json=WAITING)).status_code == 503
        assert (await client.get("/healthz")).status_code == 200
        (data / "user" / "go").touch()
        assert {(await one).status_code for one in waiting} == {200}
        await _running(client, 0)
        assert (await client.get(KEYS)).status_code == 200
