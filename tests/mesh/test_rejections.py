"""What a rejection takes back: the policy or the share of a canary that it is about, also late, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from souk.discovery.directory import Directory
from souk.discovery.registry import Instance, Joined
from souk.kernel.addresses import grpc_target, unix_address
from souk.kernel.clock import SystemClock
from souk.mesh import control_plane
from souk.mesh.canary.fleet_traffic import FleetTraffic
from souk.mesh.canary.ports import ShareRejected
from souk.mesh.canary.release import CanaryRelease, CanaryShare
from souk.mesh.control_plane import ControlPlane
from souk.mesh.envoy.resource import ENDPOINTS, ROUTES
from souk.mesh.identity.authority import CertificateAuthority
from souk.mesh.identity.lifetimes import Lifetimes
from souk.mesh.identity.store import AuthorityStore
from souk.mesh.operations import policy_file
from souk.mesh.operations.policy_file import PolicyFile
from souk.mesh.policy.policy import MeshPolicy
from souk.mesh.policy.reading import default_policy
from souk.mesh.policy.who_may_call import who_may_call
from souk.runtime.calls.registration import APPLICATION
from souk.runtime.config.entry_points import app
from tests.mesh.test_published_changes import PATIENCE, REQUEST, SECRET, Registry, Stream

SERVICES = app(None).services
ROUTES_NAME, WHY = "outbound", "no such thing"


class Sidecar(Stream):
    """A sidecar's stream, which may reject what it is sent."""

    async def receive(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            return await self._stream.read()

    async def reject(self, received: Any = None) -> None:
        got = received or await self.receive()
        error = {"code": 3, "message": WHY}
        await self._stream.write(REQUEST(type_url=got.type_url, response_nonce=got.nonce, error_detail=error))


def faster(path: Path) -> MeshPolicy:
    """Reads a policy in which calls to Payment have less time."""
    policy = default_policy(SERVICES)
    payment = policy.services["payment"]
    methods = {name: replace(rules, timeout=0.7) for name, rules in payment.methods.items()}
    return MeshPolicy({**policy.services, "payment": replace(payment, methods=methods)})


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
async def plane(
    registry: Registry, folder: Path, control_plane_socket: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ControlPlane]:
    monkeypatch.setattr(control_plane, "RECONNECTED_WITHIN", 0.0)
    monkeypatch.setattr(policy_file, "WATCHED_EVERY", 0.01)
    clock = SystemClock()
    authority = CertificateAuthority(AuthorityStore(folder), Lifetimes(), clock)
    directory = Directory(registry, clock)
    made = ControlPlane(SERVICES, default_policy(SERVICES), who_may_call(SERVICES), authority, directory, SECRET, clock)
    async with made.serving(control_plane_socket):
        yield made
    await directory.close()


@pytest.fixture
async def order(plane: ControlPlane, control_plane_socket: Path) -> AsyncIterator[Sidecar]:
    """The sidecar of Order, which has its routes."""
    async with grpc.aio.insecure_channel(grpc_target(unix_address(control_plane_socket))) as channel:
        made = Sidecar(channel, "order")
        await made.ask(ROUTES, ROUTES_NAME)
        await made.read()
        yield made


@pytest.fixture
def file(plane: ControlPlane, tmp_path: Path) -> PolicyFile:
    return PolicyFile(plane, tmp_path / "mesh.yaml", faster, SystemClock())


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_policy_that_is_rejected_late_is_taken_back(
    plane: ControlPlane, order: Sidecar, file: PolicyFile
) -> None:
    former = plane.policy.rules
    change = await file.reload(patience=0.01)
    assert (change.changed, change.refused, plane.policy.rules) == (True, None, faster(Path()))
    await order.reject()
    await until(lambda: plane.policy.rules == former)
    assert file.refused is not None
    assert [one.rejection.error for one in file.refused.rejections] == [WHY]


async def test_what_the_next_policy_keeps_of_it_is_taken_back_as_well(
    plane: ControlPlane, order: Sidecar, file: PolicyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = plane.policy.rules
    await file.reload(patience=0.01)
    search = replace(former.services["product"], ejection=None)
    monkeypatch.setattr(file, "_load", lambda path: MeshPolicy({**faster(path).services, "product": search}))
    await file.reload(patience=0.01)
    await order.reject()
    await until(lambda: plane.policy.rules == former)


async def test_one_that_is_taken_late_stays(plane: ControlPlane, order: Sidecar, file: PolicyFile) -> None:
    await file.reload(patience=0.01)
    await order.read()
    await until(lambda: file.is_decided)
    assert (file.refused, plane.policy.rules) == (None, faster(Path()))


async def test_a_rejection_of_something_else_takes_no_policy_back(
    plane: ControlPlane, order: Sidecar, file: PolicyFile, registry: Registry
) -> None:
    await order.ask(ENDPOINTS, "payment")
    await order.read()
    registry.join("payment", 1)
    endpoints = await order.receive()
    reloading = asyncio.create_task(file.reload(patience=PATIENCE))
    await until(lambda: plane.policy.revision == 2)
    await order.reject(endpoints)
    await order.read()
    change = await reloading
    assert (change.changed, change.refused) == (True, None)
    assert plane.policy.rules == faster(Path())


async def test_a_share_that_a_sidecar_rejects_is_said(
    plane: ControlPlane, order: Sidecar, registry: Registry, tmp_path: Path
) -> None:
    metadata = {APPLICATION: "unix:/run/v2.app"}
    new = Instance("payment", "payment-v2-1", "unix:/run/v2.in", version="v2", metadata=metadata)
    registry.changes.setdefault("payment", asyncio.Queue()).put_nowait(Joined(new))
    await until(lambda: plane.instances("payment", "v2") == 1)
    release = CanaryRelease(service="payment", version="v2")
    routing = asyncio.create_task(FleetTraffic(plane, tmp_path).route(release, CanaryShare(5.0)))
    await order.reject()
    with pytest.raises(ShareRejected, match=f"order-1 rejected .*{WHY}"):
        await routing
