"""Processes whose clocks differ: by a little nobody notices, by much somebody says so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from marketplace.app.app import app
from souk.hosting.event_routing import subscriptions_of
from souk.hosting.gateway.process import gateway_process
from souk.hosting.service_process import service_process
from souk.kernel.clock import SystemClock
from souk.runtime.config.environment import read
from souk.testing.lives import AheadClock

SECRET = "a secret of all processes, which is long enough"
CREDENTIALS = {"email": "demo@souk.test", "password": "demo-password"}
ME = "/api/v1/users/me"


@asynccontextmanager
async def gateway_before_user(data: Path, ahead: float) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway with the true time, and a User whose clock is ahead, each as a process of its own would be."""
    about = read({}, {"data": data, "host": "127.0.0.1", "port": 0, "demo": True, "secret": SECRET})
    user = next(service for service in app.services if service.name == "user")
    async with service_process(user, subscriptions_of(app.services), about, AheadClock(ahead)) as address:
        known = read(
            {},
            {"data": data, "host": "127.0.0.1", "port": 0, "secret": SECRET, "addresses": {"user": (address,)}},
        )
        async with (
            gateway_process(app, known, SystemClock()) as front,
            httpx.AsyncClient(base_url=f"http://{front}", timeout=30.0, trust_env=False) as client,
        ):
            yield client


@pytest.mark.parametrize("ahead", [30.0, -30.0])
async def test_half_a_minute_is_nothing(tmp_path: Path, ahead: float) -> None:
    async with gateway_before_user(tmp_path, ahead) as client:
        told = await client.post("/api/v1/auth/token", json=CREDENTIALS)
        assert told.status_code == 200, told.text
        me = await client.get(ME, headers={"authorization": f"Bearer {told.json()['accessToken']}"})
        assert me.status_code == 200, me.text


@pytest.mark.parametrize("ahead", [3_600.0, -3_600.0])
async def test_an_hour_is_refused_in_plain_words(tmp_path: Path, ahead: float) -> None:
    async with gateway_before_user(tmp_path, ahead) as client:
        told = await client.post("/api/v1/auth/token", json=CREDENTIALS)
        refused = told
        if told.status_code == 200:
            refused = await client.get(ME, headers={"authorization": f"Bearer {told.json()['accessToken']}"})
        print(f"\n{ahead:g} s ahead: {refused.status_code} {refused.text}")
        assert refused.status_code in (401, 503), refused.text
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["detail"]
