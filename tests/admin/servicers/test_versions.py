"""What becomes of a change of a version when nobody waits for it any more."""

import asyncio
from typing import Any

import pytest
from soukapi.v1 import versions_pb2 as pb
from structlog.testing import capture_logs

from souk.admin.servicers.versions import FleetVersions, VersionLaunch, VersionState
from souk.kernel.errors import ConfigurationError
from souk.rpc.server.dispatcher import Context

PATIENCE = 60.0


class Slow:
    """A fleet whose changes fail when a test says so."""

    def __init__(self) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    def start_version(self, launch: VersionLaunch) -> None:
        pass

    def version_state(self, service: str, version: str) -> VersionState:
        return VersionState(0)

    async def adopt_version(self, service: str, version: str) -> None:
        self.begun.set()
        await self.go_on.wait()
        raise ConfigurationError("payment-3 does not start: no figs")

    stop_version = adopt_version

    def has_service(self, name: str) -> bool:
        return True


async def test_why_it_failed_is_logged() -> None:
    fleet, context = Slow(), cast_context()
    versions = FleetVersions(fleet)
    with capture_logs() as logged:
        asked = asyncio.create_task(
            versions.AdoptVersion(pb.AdoptVersionRequest(service="payment", version="v2"), context)
        )
        await asyncio.wait_for(fleet.begun.wait(), PATIENCE)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        fleet.go_on.set()
        for _ in range(10):  # what was begun ends within some turns of the loop
            await asyncio.sleep(0)
    (line,) = logged
    assert (line["service"], line["version"], line["reason"]) == ("payment", "v2", "payment-3 does not start: no figs")


def cast_context() -> Context:
    nobody: Any = None
    return nobody
