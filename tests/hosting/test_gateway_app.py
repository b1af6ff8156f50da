"""The gateway among its services."""

from pathlib import Path

from marketplace.app.app import app
from souk.hosting.gateway.app import gateway
from souk.kernel.clock import SystemClock
from souk.runtime.calls.channels import open_calls
from souk.runtime.config.settings import CallSettings, HttpSettings
from souk.runtime.process.ops_http import Readiness


async def test_every_service_that_a_route_leads_to_is_looked_for_from_the_start(tmp_path: Path) -> None:
    clock = SystemClock()
    async with open_calls(b"k" * 32, (), CallSettings(), clock) as calls:
        gateway(app, calls, HttpSettings(), clock, Readiness(calls.health), demo=False)
        assert {"product", "user", "order", "inventory", "payment", "analytics"} <= set(calls.directory.counts())
