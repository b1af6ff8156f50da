"""What the controller of canaries asks of a fleet, done with real sidecars and a supervisor that only registers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from shop.payment.v1 import payment_pb2

from souk.admin.servicers.fleet import controlling_fleet
from souk.admin.servicers.versions import VersionLaunch, VersionState
from souk.descriptors.contract import contract_of
from souk.kernel.errors import ConfigurationError
from souk.mesh.canary.fleet_traffic import FleetTraffic
from souk.mesh.canary.ports import VersionReadiness
from souk.mesh.canary.release import CanaryRelease, CanaryShare
from souk.runtime.data.layout import DataLayout
from souk.supervisor.fleet import Fleet
from tests.mesh.canary.two_releases import CLOCK, NEW, OLD, TwoReleases, payment

READ = contract_of(payment_pb2.DESCRIPTOR.services_by_name["PaymentService"]).methods[
    "/shop.payment.v1.PaymentService/ListOrderCharges"
]
RELEASE = CanaryRelease(service="payment", version="v2", header=("X-Tester", "ann"))
TESTER = ("x-tester", "ann")
pytestmark = [pytest.mark.full, pytest.mark.asyncio(loop_scope="module")]


class Registering:
    """Stands for a supervisor: a version that is started is registered at once, and one that has `died` never is. It
    counts the calls that a version gets while it is being stopped."""

    def __init__(self, mesh: TwoReleases) -> None:
        self._mesh, self.launches, self.died = mesh, list[VersionLaunch](), ""
        self.while_it_stopped = 0

    def start_version(self, launch: VersionLaunch) -> None:
        if launch.run == "none":
            raise ConfigurationError("there is no program 'none', which is to be v2")
        self.launches.append(launch)
        if not self.died and NEW not in self._mesh.registry.instances:
            self._mesh.registry.join(payment(self._mesh.folder, NEW, launch.version))

    def version_state(self, service: str, version: str) -> VersionState:
        return VersionState(0 if self.died else 1, self.died)

    async def adopt_version(self, service: str, version: str) -> None:
        self._mesh.registry.leave(OLD)
        self._mesh.registry.join(payment(self._mesh.folder, OLD, version))

    async def stop_version(self, service: str, version: str) -> None:
        if NEW in self._mesh.registry.instances:
            before = len(self._mesh.apps[NEW].arrived)
            await arrivals(self._mesh, OLD, 50)
            self.while_it_stopped = len(self._mesh.apps[NEW].arrived) - before
            self._mesh.registry.leave(NEW)

    def has_service(self, name: str) -> bool:
        return name == "payment"


@pytest_asyncio.fixture(loop_scope="module")
async def supervisor(releases: TwoReleases) -> AsyncIterator[Registering]:
    data = releases.folder / "data"
    layout, made = DataLayout(data), Registering(releases)
    layout.prepare()
    async with controlling_fleet(layout.control, Fleet(), CLOCK, versioned=made):
        yield made
    releases.plane.split("payment", None)
    for name in {OLD, NEW} & releases.registry.instances.keys():
        releases.registry.leave(name)
    releases.registry.join(payment(releases.folder, OLD))
    for one in releases.apps.values():
        one.arrived.clear()
    while [one.version for one in releases.directory.instances("payment")] != [""]:
        await asyncio.sleep(0.02)
    await releases.settled()


@pytest.fixture
def traffic(releases: TwoReleases) -> FleetTraffic:
    return FleetTraffic(releases.plane, releases.folder / "data")


async def ready(traffic: FleetTraffic) -> None:
    while (await traffic.readiness(RELEASE)).ready < 1:
        await asyncio.sleep(0.02)


@asynccontextmanager
async def load(mesh: TwoReleases) -> AsyncIterator[list[object]]:
    """Calls inside the block; gives what has failed."""
    failures: list[object] = []
    over = asyncio.Event()

    async def go() -> None:
        while not over.is_set():
            failures.extend(filter(None, [await mesh.call(READ)]))

    going = [asyncio.create_task(go()) for _ in range(3)]
    yield failures
    over.set()
    await asyncio.gather(*going)


async def arrivals(mesh: TwoReleases, name: str, more: int) -> None:
    """Waits until so many more calls have arrived at an instance."""
    before = len(mesh.apps[name].arrived)
    while len(mesh.apps[name].arrived) < before + more:
        await asyncio.sleep(0.02)


async def test_a_canary_that_is_removed_costs_no_call(
    releases: TwoReleases, supervisor: Registering, traffic: FleetTraffic
) -> None:
    async with load(releases) as failures:
        await traffic.start(RELEASE)
        await traffic.start(RELEASE)
        await ready(traffic)
        await arrivals(releases, OLD, 50)
        assert releases.apps[NEW].arrived == []
        await traffic.route(RELEASE, CanaryShare(50.0))
        await arrivals(releases, NEW, 20)
        await traffic.remove(RELEASE)
        await arrivals(releases, OLD, 50)
        await traffic.remove(RELEASE)
    assert failures == []
    assert supervisor.while_it_stopped <= 3  # what was on its way
    assert releases.plane.rules("payment").canary is None
    assert {one.version for one in supervisor.launches} == {"v2"}


async def test_a_canary_that_is_adopted_costs_no_call(
    releases: TwoReleases, supervisor: Registering, traffic: FleetTraffic
) -> None:
    async with load(releases) as failures:
        await traffic.start(RELEASE)
        await ready(traffic)
        await traffic.route(RELEASE, CanaryShare(50.0))
        await arrivals(releases, NEW, 20)
        await traffic.adopt(RELEASE)
        await arrivals(releases, OLD, 20)
    assert failures == []
    assert [one.version for one in releases.registry.instances.values()] == ["v2"]
    assert releases.plane.rules("payment").canary is None


async def test_testers_meet_the_version_from_the_first_share_on(
    releases: TwoReleases, supervisor: Registering, traffic: FleetTraffic
) -> None:
    await traffic.start(RELEASE)
    await ready(traffic)
    await releases.settled()
    assert await releases.call(READ, TESTER) is None
    assert releases.apps[NEW].arrived == []
    await traffic.route(RELEASE, CanaryShare(0.0, mirrored=True))
    assert await releases.call(READ, TESTER) is None
    assert len(releases.apps[NEW].arrived) == 1


async def test_what_keeps_a_version_from_starting_is_said(
    releases: TwoReleases, supervisor: Registering, traffic: FleetTraffic
) -> None:
    supervisor.died = "payment-v2-1 died 3 times: no figs"
    await traffic.start(RELEASE)
    assert await traffic.readiness(RELEASE) == VersionReadiness(0, supervisor.died)
    with pytest.raises(ConfigurationError, match="no program 'none'"):
        await traffic.start(CanaryRelease(service="payment", version="v2", run="none"))
