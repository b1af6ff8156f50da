"""Canaries and their supervisor: one that hangs, one that was started anew, and what it is not asked too early."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from soukapi.v1 import versions_pb2 as pb

from souk.admin.servicers.versions import CONTRACT
from souk.admin.unix_socket import serving
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError, DomainError
from souk.mesh.canary import fleet_traffic
from souk.mesh.canary.fleet_traffic import FleetTraffic
from souk.mesh.canary.release import CanaryRelease
from souk.mesh.policy.policy import CanarySplit, ServiceRules
from souk.mesh.xds.server import AdsServer
from souk.mesh.xds.snapshot import PublishedVersion
from souk.runtime.data.layout import DataLayout

V2 = CanaryRelease(service="payment", version="v2")
PATIENCE = 30.0


class Hanging:
    """Takes calls, and never answers them."""

    async def StartVersion(self, request: object, context: object) -> None:
        await asyncio.Event().wait()

    GetVersion = AdoptVersion = StopVersion = StartVersion


class StartedAnew:
    """Knows the versions that were started since it began."""

    def __init__(self) -> None:
        self.runs, self.adopted = set[str](), ""

    async def StartVersion(self, request: pb.StartVersionRequest, context: object) -> pb.StartVersionResponse:
        self.runs.add(request.version)
        return pb.StartVersionResponse()

    async def GetVersion(self, request: pb.GetVersionRequest, context: object) -> pb.GetVersionResponse:
        return pb.GetVersionResponse()

    async def AdoptVersion(self, request: pb.AdoptVersionRequest, context: object) -> pb.AdoptVersionResponse:
        if request.version not in self.runs:
            raise DomainError("CANNOT_BE_DONE", f"no {request.version} of {request.service} was started")
        self.adopted = request.version
        return pb.AdoptVersionResponse()

    async def StopVersion(self, request: pb.StopVersionRequest, context: object) -> pb.StopVersionResponse:
        self.runs.discard(request.version)
        return pb.StopVersionResponse()


class Routes:
    """Stands for a control plane; its sidecars take everything at once."""

    def __init__(self) -> None:
        self.canary: CanarySplit | None = CanarySplit(V2.version)
        self.server, self.unknown = AdsServer(lambda node, token: True), list[str]()
        self.waited_for, self.found = asyncio.Event(), asyncio.Event()
        self.found.set()

    def instances(self, service: str, version: str) -> int:
        return 0

    async def reconnected(self) -> None:
        self.waited_for.set()
        await self.found.wait()

    def split(self, service: str, canary: CanarySplit | None) -> frozenset[PublishedVersion]:
        self.canary = canary
        return frozenset()

    def rules(self, service: str) -> ServiceRules:
        return ServiceRules(methods={}, canary=self.canary)

    async def settled(self, patience: float) -> Sequence[str]:
        return ()


@asynccontextmanager
async def beside(supervisor: object, routes: Any) -> AsyncIterator[FleetTraffic]:
    with tempfile.TemporaryDirectory(prefix="canary-") as data:
        async with serving(DataLayout(Path(data)).control, {CONTRACT: supervisor}, SystemClock()):
            yield FleetTraffic(routes, Path(data))


async def test_nobody_waits_for_ever_for_one_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_traffic, "ANSWERED_WITHIN", 0.2)
    async with beside(Hanging(), Routes()) as traffic, asyncio.timeout(PATIENCE):
        for question in (traffic.readiness, traffic.start):
            with pytest.raises(ConfigurationError, match="no response in time"):
                await question(V2)


async def test_a_promotion_goes_on_in_a_fleet_that_was_started_anew() -> None:
    supervisor, routes = StartedAnew(), Routes()
    async with beside(supervisor, routes) as traffic:
        await traffic.adopt(V2)
    assert (supervisor.adopted, supervisor.runs, routes.canary) == ("v2", set(), None)


async def test_a_version_runs_until_the_sidecars_of_a_former_control_plane_have_other_routes() -> None:
    supervisor, routes = StartedAnew(), Routes()
    supervisor.runs.add("v2")
    routes.found.clear()
    async with beside(supervisor, routes) as traffic, asyncio.timeout(PATIENCE):
        removing = asyncio.create_task(traffic.remove(V2))
        await asyncio.wait({removing, asyncio.create_task(routes.waited_for.wait())}, return_when="FIRST_COMPLETED")
        assert (supervisor.runs, routes.canary) == ({"v2"}, CanarySplit("v2", takes_calls=False))
        routes.found.set()
        await removing
    assert (supervisor.runs, routes.canary) == (set(), None)


async def test_instances_of_a_version_are_not_gone_while_the_registry_has_not_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleet_traffic, "GONE_WITHIN", 0.3)
    supervisor, routes = StartedAnew(), Routes()
    routes.unknown.append(V2.service)
    async with beside(supervisor, routes) as traffic:
        with pytest.raises(ConfigurationError, match="still registered"):
            await traffic.remove(V2)
        assert routes.canary == CanarySplit("v2", takes_calls=False)
        routes.unknown.clear()
        await traffic.remove(V2)
    assert routes.canary is None
