"""The security table: who tries to call Payment through its sidecar, and what exactly each gets."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from souk.kernel.errors import Outcome
from souk.mesh import control_plane
from souk.mesh.identity.authority import WorkloadCertificate
from souk.mesh.identity.refusals import INSTANCE, SERVICE
from souk.mesh.identity.spiffe import Workload
from souk.rpc.call import Call, CallFailed
from souk.rpc.sidecar import SidecarTransport
from tests.mesh.order_and_payment import CLOCK, TwoSidecars, two_sidecars
from tests.mesh.strangers import (
    CERTIFICATES,
    CHARGE,
    CLOSED,
    ORDER,
    PATIENCE,
    channel_to,
    impersonating,
    plain_to,
    shown_to,
    status_of,
)
from tests.mesh.test_alike import METHODS

pytestmark = pytest.mark.asyncio(loop_scope="module")
DENIED = ("PERMISSION_DENIED", "RBAC: access denied")
REFUND = "/shop.payment.v1.PaymentService/Refund"
LIST = "/shop.payment.v1.PaymentService/ListPaymentMethods"
PARK = "/soukapi.v1.EventSource/Park"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="mesh-") as made:
        yield Path(made)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(folder: Path) -> AsyncIterator[TwoSidecars]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control_plane, "RENEWED_EVERY", 0.1)
        async with two_sidecars(folder) as found:
            yield found


@pytest.mark.parametrize(
    ("certificate", "outcome"),
    [
        ("of a foreign authority", "TLSV1_ALERT_UNKNOWN_CA"),
        ("expired", "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
        ("not yet valid", "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
        ("none", "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
    ],
)
async def test_a_certificate(mesh: TwoSidecars, folder: Path, certificate: str, outcome: str) -> None:
    by = CERTIFICATES[certificate](folder) if certificate in CERTIFICATES else None
    assert await shown_to(mesh, folder, by) == outcome


async def test_plaintext_is_closed(mesh: TwoSidecars) -> None:
    assert await plain_to(mesh) == CLOSED


@pytest.mark.parametrize(
    ("service", "method", "outcome"),
    [
        ("order", CHARGE, ("OK", "")),
        ("gateway", LIST, ("OK", "")),
        ("product", CHARGE, DENIED),
        ("gateway", CHARGE, DENIED),
        ("product", PARK, DENIED),
        ("order", "/shop.payment.v1.PaymentService/NoSuchMethod", DENIED),
        ("order-shadow", CHARGE, DENIED),
    ],
)
async def test_a_service_and_a_method(mesh: TwoSidecars, service: str, method: str, outcome: tuple[str, str]) -> None:
    before = mesh.callee.arrived[method]
    async with channel_to(mesh, mesh.authority.issue(Workload(service, f"{service}-9"))) as channel:
        assert await status_of(channel, method) == outcome
    assert mesh.callee.arrived[method] - before == (outcome[0] == "OK")


@pytest.mark.parametrize(("kind", "name", "others"), [(SERVICE, "order", DENIED), (INSTANCE, "order-9", ("OK", ""))])
async def test_a_refused_workload(mesh: TwoSidecars, kind: str, name: str, others: tuple[str, str]) -> None:
    """The next call counts, also over the connection that it has already."""
    own, other = mesh.authority.issue(ORDER), mesh.authority.issue(Workload("order", "order-8"))
    async with channel_to(mesh, own) as channel, channel_to(mesh, other) as of_other:
        assert await status_of(channel, CHARGE) == await status_of(of_other, CHARGE) == ("OK", "")
        mesh.authority.refuse(kind, name, "it was broken into")
        try:
            await until_new_connections_get(mesh, own, DENIED)
            assert await status_of(channel, CHARGE) == DENIED
            assert await status_of(of_other, CHARGE) == others
        finally:
            mesh.authority.admit(kind, name)
        await until_new_connections_get(mesh, own, ("OK", ""))
        assert await status_of(channel, CHARGE) == ("OK", "")


@pytest.mark.parametrize(("kind", "name"), [(SERVICE, "payment"), (INSTANCE, "payment-1")])
async def test_a_refused_callee_gets_no_calls(mesh: TwoSidecars, kind: str, name: str) -> None:
    through = SidecarTransport("payment", mesh.outbound, CLOCK)
    await until_it_ends(through, None)
    mesh.authority.refuse(kind, name, "it was broken into")
    try:
        await until_it_ends(through, Outcome.NOT_SENT)
        arrived = mesh.callee.arrived[CHARGE]
        with pytest.raises(CallFailed):
            await through.unary(charge())
        assert mesh.callee.arrived[CHARGE] == arrived
    finally:
        mesh.authority.admit(kind, name)
        await until_it_ends(through, None)
        await through.close(0)


async def until_it_ends(through: SidecarTransport, outcome: Outcome | None) -> None:
    """Calls until a call ends so; None is its success."""
    found: Outcome | None = Outcome.UNKNOWN
    async with asyncio.timeout(PATIENCE):
        while found != outcome:
            try:
                await through.unary(charge())
            except CallFailed as failed:
                found = failed.outcome
            else:
                found = None


@pytest.mark.parametrize("impostor", ["a service of the mesh", "of a foreign authority"])
async def test_what_is_not_payment_gets_no_calls(folder: Path, impostor: str) -> None:
    """It takes calls at the address of Payment, and has another certificate."""
    own = folder / impostor.replace(" ", "-")
    own.mkdir()
    async with two_sidecars(own) as mesh:
        await mesh.sidecars["payment-1"].stop()
        shown = mesh.authority.issue(Workload("product", "product-1"))
        if impostor in CERTIFICATES:
            shown = CERTIFICATES[impostor](own)
        async with impersonating(mesh, own, shown) as received:
            through = SidecarTransport("payment", mesh.outbound, CLOCK)
            with pytest.raises(CallFailed) as failed:
                await through.unary(charge())
            assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
            await through.close(0)
    assert received == []


def charge() -> Call:
    return Call(METHODS[CHARGE], b"", (), CLOCK.monotonic() + PATIENCE)


async def until_new_connections_get(mesh: TwoSidecars, by: WorkloadCertificate, status: tuple[str, str]) -> None:
    found = None
    async with asyncio.timeout(PATIENCE):
        while found != status:
            async with channel_to(mesh, by) as channel:
                found = await status_of(channel, CHARGE)
