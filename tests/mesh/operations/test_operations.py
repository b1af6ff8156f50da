"""What operators ask of a control plane whose sidecars are real: what it answers, and what changes for calls."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from soukapi.v1 import mesh_pb2 as pb
from soukapi.v1 import mesh_pb2_grpc

from souk.kernel.addresses import grpc_target, unix_address
from souk.mesh.operations.metrics import MeshMetrics
from souk.mesh.policy.policy import HeaderRule, MeshPolicy, VersionSplit
from souk.runtime.data.layout import DataLayout
from tests.mesh.order_and_payment import TwoSidecars, load_rules, two_sidecars

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHARGE = "/shop.payment.v1.PaymentService/Charge"
GOOD = "services: {payment: {methods: {Charge: {timeout: 700ms}}}}\n"
ENVOY_REJECTS = "# Envoy rejects this\n"
PATIENCE = 60.0


def load(path: Path) -> MeshPolicy:
    """Reads a policy; some have a route that Envoy does not take, whatever our own checks let pass."""
    policy = load_rules(path)
    if ENVOY_REJECTS not in path.read_text():
        return policy
    rules = policy.services["payment"]
    bad = VersionSplit((HeaderRule("no name\nof a header", "", "v2"),), {})
    methods = {name: replace(method, split=bad) for name, method in rules.methods.items()}
    return MeshPolicy({**policy.services, "payment": replace(rules, methods=methods)})


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="mesh-") as made:
        yield Path(made)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(folder: Path) -> AsyncIterator[TwoSidecars]:
    async with two_sidecars(folder, load=load) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(mesh: TwoSidecars, folder: Path) -> "AsyncIterator[mesh_pb2_grpc.MeshAsyncStub]":
    socket = DataLayout(folder).control_plane
    async with grpc.aio.insecure_channel(grpc_target(unix_address(socket))) as channel:
        yield mesh_pb2_grpc.MeshStub(channel)


async def charge(mesh: TwoSidecars) -> grpc.StatusCode:
    """Calls Payment as Order, through both sidecars."""
    options = (("grpc.default_authority", "payment"), ("grpc.use_local_subchannel_pool", 1))
    async with grpc.aio.insecure_channel(grpc_target(mesh.outbound), options=options) as channel:
        try:
            await channel.unary_unary(CHARGE)(b"", timeout=PATIENCE)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


async def status(operator: "mesh_pb2_grpc.MeshAsyncStub") -> pb.GetMeshStatusResponse:
    return await operator.GetMeshStatus(pb.GetMeshStatusRequest())


async def reload(operator: "mesh_pb2_grpc.MeshAsyncStub", folder: Path, text: str) -> pb.ReloadMeshPolicyResponse:
    (folder / "mesh.yaml").write_text(text)
    return await operator.ReloadMeshPolicy(pb.ReloadMeshPolicyRequest(operator="ann"))


async def test_the_state_of_sidecars_is_shown(operator: "mesh_pb2_grpc.MeshAsyncStub") -> None:
    found = await status(operator)
    assert [(one.service, one.instance, one.connected) for one in found.sidecars] == [
        ("order", "order-1", True),
        ("payment", "payment-1", True),
    ]
    for sidecar in found.sidecars:
        taken = {one.type: one.count for one in sidecar.taken}
        assert taken["Listener"] >= 1, taken
        assert taken["Secret"] == 2, taken
        assert not any(one.waiting for one in sidecar.taken)
        assert sidecar.certificate.expires.seconds > sidecar.certificate.issued.seconds
        assert sidecar.since.seconds > 0
    assert [(root.signs, found.stage) for root in found.roots] == [(True, "steady")]
    assert (found.policy.revision, list(found.refused)) == (1, [])


async def test_a_policy_is_read_again_and_applied(
    mesh: TwoSidecars, operator: "mesh_pb2_grpc.MeshAsyncStub", folder: Path
) -> None:
    before = (await status(operator)).policy.revision
    found = await reload(operator, folder, GOOD)
    assert (found.changed, found.revision, list(found.taken)) == (True, before + 1, ["order-1", "payment-1"])
    routes = (await mesh.sidecars["order-1"].admin("/config_dump?resource=dynamic_route_configs")).text
    assert "0.700s" in routes
    again = await operator.ReloadMeshPolicy(pb.ReloadMeshPolicyRequest())
    assert (again.changed, again.revision) == (False, before + 1)


async def test_a_wrong_file_changes_nothing_and_all_errors_are_told(
    operator: "mesh_pb2_grpc.MeshAsyncStub", folder: Path
) -> None:
    before = (await status(operator)).policy
    found = await reload(operator, folder, "services:\n  paymant: {}\n  payment: {timeout: soon}\n")
    assert [line.split(": ")[0].rpartition("mesh.yaml:")[2] for line in found.errors] == ["2:3", "3:22"]
    after = (await status(operator)).policy
    assert (after.revision, after.since) == (before.revision, before.since)
    assert list(after.rejected.errors) == list(found.errors)


async def test_a_policy_that_envoy_rejects_is_shown_and_taken_back(
    mesh: TwoSidecars, operator: "mesh_pb2_grpc.MeshAsyncStub", folder: Path
) -> None:
    await reload(operator, folder, GOOD)
    before = mesh.plane.policy.rules
    found = await reload(operator, folder, ENVOY_REJECTS)
    assert not found.changed
    (rejected,) = found.rejected
    assert (rejected.instance, rejected.type) == ("order-1", "RouteConfiguration")
    assert rejected.error
    assert mesh.plane.policy.rules == before
    assert not await mesh.plane.settled(PATIENCE)
    shown = await status(operator)
    assert shown.policy.rejected.revision == rejected.revision == shown.policy.revision - 1
    assert not any(sidecar.rejected for sidecar in shown.sidecars)
    assert await charge(mesh) is grpc.StatusCode.OK
    await reload(operator, folder, "")
    assert not (await status(operator)).policy.HasField("rejected")


async def test_sidecars_know_of_a_refusal_when_it_is_answered(
    mesh: TwoSidecars, operator: "mesh_pb2_grpc.MeshAsyncStub"
) -> None:
    request = pb.RefuseWorkloadRequest(service="order", instance="order-1", why="lost", operator="ann")
    assert not (await operator.RefuseWorkload(request)).waiting
    assert await denies(mesh)
    found = await status(operator)
    assert [(one.service, one.instance, one.why) for one in found.refused] == [("", "order-1", "lost")]
    refused = next(one for one in found.sidecars if one.instance == "order-1")
    assert not refused.HasField("certificate")
    assert "refused" in refused.problem.reason
    await operator.AdmitWorkload(pb.AdmitWorkloadRequest(service="order", instance="order-1", operator="ann"))
    assert not await denies(mesh)
    assert not (await status(operator)).refused
    assert await charge(mesh) is grpc.StatusCode.OK


async def denies(mesh: TwoSidecars) -> bool:
    """Whether the sidecar of Payment denies somebody."""
    return '"DENY"' in (await mesh.sidecars["payment-1"].admin("/config_dump")).text


@pytest.mark.parametrize(("service", "instance"), [("paymet", ""), ("payment", "payment-7"), ("order", "payment-1")])
async def test_nobody_unknown_is_refused(operator: "mesh_pb2_grpc.MeshAsyncStub", service: str, instance: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await operator.RefuseWorkload(pb.RefuseWorkloadRequest(service=service, instance=instance, why="lost"))
    assert error.value.code() is grpc.StatusCode.NOT_FOUND
    assert not (await status(operator)).refused


async def test_who_is_not_refused_is_not_admitted(operator: "mesh_pb2_grpc.MeshAsyncStub") -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await operator.AdmitWorkload(pb.AdmitWorkloadRequest(service="payment"))
    assert "not refused" in (error.value.details() or "")


async def test_a_root_is_rotated_once_at_a_time(mesh: TwoSidecars, operator: "mesh_pb2_grpc.MeshAsyncStub") -> None:
    begun = await operator.RotateMeshRoot(pb.RotateMeshRootRequest(operator="ann"))
    assert "next root" in begun.rotation
    found = await status(operator)
    assert (found.stage, len(found.roots)) == ("introduced", 2)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await operator.RotateMeshRoot(pb.RotateMeshRootRequest(operator="ann"))
    assert error.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert await charge(mesh) is grpc.StatusCode.OK


async def test_metrics_show_sidecars_rejections_and_expiries(
    mesh: TwoSidecars, operator: "mesh_pb2_grpc.MeshAsyncStub", folder: Path
) -> None:
    registry = CollectorRegistry()
    mesh.plane.exchanges.counts = MeshMetrics(mesh.plane, registry)
    await reload(operator, folder, GOOD)
    await reload(operator, folder, ENVOY_REJECTS)
    assert registry.get_sample_value("souk_mesh_sidecars", {"state": "connected"}) == 2
    assert registry.get_sample_value("souk_mesh_rejections_total", {"type": "RouteConfiguration"}) == 1
    assert registry.get_sample_value("souk_mesh_responses_total", {"type": "RouteConfiguration"})
    assert registry.get_sample_value("souk_mesh_acknowledgement_seconds_count", {"type": "RouteConfiguration"})
    assert registry.get_sample_value("souk_mesh_policy_revision") == mesh.plane.policy.revision
    expires = {"kind": "workload", "name": "order-1"}
    shown = next(one for one in (await status(operator)).sidecars if one.instance == "order-1")
    value = registry.get_sample_value("souk_mesh_certificate_expiry_timestamp_seconds", expires)
    assert value == shown.certificate.expires.seconds
    assert registry.get_sample_value("souk_mesh_renewal_failures", {"name": "authority"}) == 0
