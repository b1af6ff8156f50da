"""What a mesh does when a clock jumps past an expiry, and when certificates cannot be renewed."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from souk.kernel.clock import MICROSECONDS, SystemClock
from souk.mesh.identity.authority import WorkloadCertificate
from souk.mesh.identity.lifetimes import Lifetimes
from souk.mesh.identity.spiffe import Workload
from souk.mesh.identity.store import AUTHORITY
from souk.mesh.operations.messages import status_message
from souk.rpc.call import Call, CallFailed
from souk.rpc.sidecar import SidecarTransport
from tests.mesh.order_and_payment import CLOCK, TwoSidecars, two_sidecars
from tests.mesh.strangers import (
    CHARGE,
    HOUR,
    ORDER,
    PATIENCE,
    channel_to,
    impersonating,
    server_is_shown,
    shown_to,
    status_of,
)
from tests.mesh.test_alike import METHODS

pytestmark = pytest.mark.full
SHORT = Lifetimes(leaf=8, intermediate=16, root=64, skew=1, delay=2, backdated=4)
EXPIRED = "certificate has expired"


class WrongClock(SystemClock):
    """A clock whose date is wrong by `ahead` seconds."""

    ahead = 0.0

    def now(self) -> int:
        return super().now() + round(self.ahead * MICROSECONDS)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="mesh-") as made:
        yield Path(made)


@asynccontextmanager
async def order(mesh: TwoSidecars) -> AsyncIterator[SidecarTransport]:
    """Order, with a connection that is open."""
    through = SidecarTransport("payment", mesh.outbound, CLOCK)
    await until_answered(through)
    yield through
    await through.close(0)


def charge() -> Call:
    return Call(METHODS[CHARGE], b"", (), CLOCK.monotonic() + PATIENCE)


async def until_answered(through: SidecarTransport) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await through.unary(charge())
            except CallFailed:
                continue
            return


async def until_expired(mesh: TwoSidecars) -> None:
    async with asyncio.timeout(PATIENCE):
        while EXPIRED not in await server_is_shown(mesh):
            pass


async def new_connection_is_refused(mesh: TwoSidecars, through: SidecarTransport) -> None:
    """Has Payment's sidecar start anew, so that Order's must connect again."""
    await mesh.sidecars["payment-1"].stop()
    await mesh.sidecars["payment-1"].start()
    await mesh.plane.server.settled("payment-1")
    arrived = mesh.callee.arrived[CHARGE]
    with pytest.raises(CallFailed) as failed:
        await through.unary(charge())
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert mesh.callee.arrived[CHARGE] == arrived


async def until_over(mesh: TwoSidecars, *certificates: WorkloadCertificate) -> None:
    """Waits until certificates have expired, and a second more, since TLS counts whole ones."""
    async with asyncio.timeout(PATIENCE):
        while any(each.span.valid(mesh.authority.now() - 1) for each in certificates):
            await asyncio.sleep(0.1)


async def issued_and_let_in(mesh: TwoSidecars) -> WorkloadCertificate:
    """Gives a certificate of Order by which a stranger called Payment."""
    async with asyncio.timeout(PATIENCE):
        while True:
            issued = mesh.authority.issue(ORDER)
            async with channel_to(mesh, issued) as channel:
                if (await status_of(channel, CHARGE))[0] == "OK":
                    return issued


async def server_is_refused(
    mesh: TwoSidecars, folder: Path, through: SidecarTransport, shown: WorkloadCertificate
) -> None:
    """Has somebody with a certificate take Payment's calls; no byte of one is sent there."""
    await mesh.sidecars["payment-1"].stop()
    async with impersonating(mesh, folder, shown) as received:
        with pytest.raises(CallFailed) as failed:
            await through.unary(charge())
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert received == []
    await mesh.sidecars["payment-1"].start()
    await mesh.plane.server.settled("payment-1")


async def test_a_clock_jumps_past_an_expiry_and_back(folder: Path) -> None:
    """It is the clock of the authority that jumps back, and so the sidecars' that is ahead."""
    clock = WrongClock()
    async with two_sidecars(folder, clock=clock) as mesh, order(mesh) as through:
        clock.ahead = -HOUR
        await until_expired(mesh)
        await through.unary(charge())
        await new_connection_is_refused(mesh, through)
        clock.ahead = 0.0
        await until_answered(through)


async def test_certificates_that_cannot_be_renewed(folder: Path) -> None:
    async with two_sidecars(folder, lifetimes=SHORT) as mesh, order(mesh) as through:
        caller, callee = await issued_and_let_in(mesh), mesh.authority.issue(Workload("payment", "payment-1"))
        in_the_way = folder / AUTHORITY.with_name(f".{AUTHORITY.name}.new")
        in_the_way.mkdir()
        await until_expired(mesh)
        assert mesh.plane.certificates.failure is not None
        shown = status_message(mesh.plane, mesh.control.file)
        assert shown.problem.reason == mesh.plane.certificates.failure.reason
        assert shown.problem.tries > 1
        await through.unary(charge())
        await until_over(mesh, caller, callee)
        assert await shown_to(mesh, folder, caller, checks_server=False) == "SSLV3_ALERT_CERTIFICATE_EXPIRED"
        await server_is_refused(mesh, folder, through, callee)
        await new_connection_is_refused(mesh, through)
        in_the_way.rmdir()
        await until_answered(through)
        await issued_and_let_in(mesh)
        assert mesh.plane.certificates.failure is None
        assert not status_message(mesh.plane, mesh.control.file).HasField("problem")
