"""What the control plane publishes when the registry changes: to whom, and how much of it together."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from souk.discovery.directory import Directory
from souk.discovery.registry import Change, Instance, Joined, Listed, WatchEvent
from souk.kernel.addresses import grpc_target, unix_address
from souk.kernel.clock import SystemClock
from souk.kernel.errors import SoukError
from souk.mesh import control_plane
from souk.mesh.canary.fleet_traffic import FleetTraffic
from souk.mesh.canary.release import CanaryRelease, CanaryShare
from souk.mesh.control_plane import ControlPlane
from souk.mesh.envoy import messages
from souk.mesh.envoy.bootstrap import TOKEN
from souk.mesh.envoy.resource import ENDPOINTS, LISTENER
from souk.mesh.identity.authority import CertificateAuthority
from souk.mesh.identity.lifetimes import Lifetimes
from souk.mesh.identity.store import AuthorityStore
from souk.mesh.policy.policy import CanarySplit, MeshPolicy, VersionSplit
from souk.mesh.policy.reading import default_policy
from souk.mesh.policy.who_may_call import who_may_call
from souk.mesh.workloads import workload_token
from souk.mesh.xds.exchange import METHOD
from souk.mesh.xds.snapshot import ResourceSnapshot
from souk.runtime.calls.registration import APPLICATION
from souk.runtime.config.entry_points import app

REQUEST = messages.message_class("envoy.service.discovery.v3.DeltaDiscoveryRequest")
RESPONSE = messages.message_class("envoy.service.discovery.v3.DeltaDiscoveryResponse")
ASSIGNMENT = messages.message_class("envoy.config.endpoint.v3.ClusterLoadAssignment")
RELEASE = CanaryRelease(service="payment", version="v2")
SECRET = b"s" * 32
MANY, PATIENCE = 20, 60.0


class Registry:
    """A registry in which instances join when a test says so."""

    away = ""

    def __init__(self) -> None:
        self.changes: dict[str, asyncio.Queue[Change]] = {}

    def join(self, service: str, number: int, app: str | None = None) -> None:
        name = f"{service}-{number}"
        metadata = {APPLICATION: f"unix:/run/{name}.app" if app is None else app}
        found = Instance(service, name, f"unix:/run/{name}.in", metadata=metadata)
        self._of(service).put_nowait(Joined(found))

    async def watch(self, service: str) -> AsyncGenerator[WatchEvent, None]:
        yield Listed(service)
        while True:
            yield await self._of(service).get()

    def _of(self, service: str) -> asyncio.Queue[Change]:
        return self.changes.setdefault(service, asyncio.Queue())


class Stream:
    """A sidecar's stream, which takes all that it is sent."""

    def __init__(self, channel: grpc.aio.Channel, service: str, instance: str = "", outbound: str = "") -> None:
        node = instance or f"{service}-1"
        metadata = {"outbound": outbound or f"unix:/run/{node}.out", "inbound": f"unix:/run/{node}.in"}
        self._node = {"id": node, "cluster": service, "metadata": metadata}
        method: Any = channel.stream_stream(METHOD, REQUEST.SerializeToString, RESPONSE.FromString)
        self._stream = method(metadata=((TOKEN, workload_token(SECRET, service, node)),))

    async def ask(self, type_url: str, *names: str) -> None:
        await self._stream.write(REQUEST(node=self._node, type_url=type_url, resource_names_subscribe=names))

    async def read_only(self) -> None:
        """Reads a response, and does not say that it was taken."""
        async with asyncio.timeout(PATIENCE):
            await self._stream.read()

    async def end(self) -> grpc.StatusCode:
        async with asyncio.timeout(PATIENCE):
            return await self._stream.code()

    async def read(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            response = await self._stream.read()
        await self._stream.write(REQUEST(type_url=response.type_url, response_nonce=response.nonce))
        return response


def endpoints(response: Any) -> int:
    """Counts the instances in a response about one service."""
    (found,) = response.resources
    assignment: Any = ASSIGNMENT.FromString(found.resource.value)
    return sum(len(each.lb_endpoints) for each in assignment.endpoints)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@asynccontextmanager
async def marketplace_plane(registry: Registry, folder: Path) -> AsyncIterator[ControlPlane]:
    """The control plane of the marketplace, which does not serve yet."""
    services, clock = app(None).services, SystemClock()
    authority = CertificateAuthority(AuthorityStore(folder), Lifetimes(), clock)
    directory = Directory(registry, clock)
    rules, allowed = default_policy(services), who_may_call(services)
    yield ControlPlane(services, rules, allowed, authority, directory, SECRET, clock)
    await directory.close()


@pytest.fixture
async def plane(registry: Registry, folder: Path, control_plane_socket: Path) -> AsyncIterator[ControlPlane]:
    async with marketplace_plane(registry, folder) as plane, plane.serving(control_plane_socket):
        yield plane


@pytest.fixture
async def channel(plane: ControlPlane, control_plane_socket: Path) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(grpc_target(unix_address(control_plane_socket))) as channel:
        yield channel


async def test_changes_that_follow_each_other_closely_go_out_together(
    registry: Registry, plane: ControlPlane, channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = Stream(channel, "order")
    await order.ask(ENDPOINTS, "payment")
    assert endpoints(await order.read()) == 0
    registry.join("payment", 0)
    assert endpoints(await order.read()) == 1
    published, publish = Counter[str](), plane.server.publish

    def counting(snapshots: Mapping[str, ResourceSnapshot]) -> None:
        published.update(list(snapshots))
        publish(snapshots)

    monkeypatch.setattr(plane.server, "publish", counting)
    for number in range(1, MANY):
        registry.join("payment", number)
    while endpoints(await order.read()) < MANY:
        pass
    assert 1 <= published["order-1"] < MANY / 2


async def test_a_sidecar_takes_calls_when_its_own_application_has_registered(
    registry: Registry, channel: grpc.aio.Channel
) -> None:
    payment = Stream(channel, "payment")
    await payment.ask(LISTENER)
    assert [one.name for one in (await payment.read()).resources] == ["outbound"]
    registry.join("payment", 1)
    assert [one.name for one in (await payment.read()).resources] == ["inbound"]


@pytest.mark.parametrize("address", ["payment.sock", "/run/payment.sock", ":50051", "unix:payment.sock"])
async def test_an_application_with_an_address_that_is_none_keeps_nothing_from_other_sidecars(
    registry: Registry, plane: ControlPlane, channel: grpc.aio.Channel, address: str
) -> None:
    payment, order = Stream(channel, "payment"), Stream(channel, "order")
    await payment.ask(LISTENER)
    await payment.read()
    await order.ask(ENDPOINTS, "payment")
    assert endpoints(await order.read()) == 0
    await plane.refresh()  # nothing is published for certificates afterwards
    registry.join("payment", 1, address)
    assert endpoints(await order.read()) == 1
    await plane.refresh()
    assert {one.instance for one in plane.certificates.wanted} == {"payment-1", "order-1"}
    # Once it names a right one, its sidecar takes calls.
    registry.join("payment", 1)
    assert [one.name for one in (await payment.read()).resources] == ["inbound"]


@pytest.mark.parametrize(("instance", "outbound"), [("order-V2-1", ""), ("order.1", ""), ("order-2", "order.sock")])
async def test_a_sidecar_that_cannot_be_configured_is_refused_and_others_get_what_is_theirs(
    registry: Registry, plane: ControlPlane, channel: grpc.aio.Channel, instance: str, outbound: str
) -> None:
    wrong = Stream(channel, "order", instance, outbound)
    await wrong.ask(ENDPOINTS, "payment")
    assert await wrong.end() is grpc.StatusCode.INVALID_ARGUMENT
    assert list(plane.workloads) == []
    order = Stream(channel, "order")
    await order.ask(ENDPOINTS, "payment")
    assert endpoints(await order.read()) == 0
    registry.join("payment", 0)
    assert endpoints(await order.read()) == 1


async def test_who_does_not_wait_any_longer_for_sidecars_leaves_nobody_waiting(
    plane: ControlPlane, channel: grpc.aio.Channel
) -> None:
    order = Stream(channel, "order")
    await order.ask(ENDPOINTS, "payment")
    await order.read_only()
    waiting = asyncio.create_task(plane.settled(PATIENCE))
    while not waits():
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    for _ in range(10):  # a task that is cancelled ends within some turns of the loop
        await asyncio.sleep(0)
    assert waits() == []


def waits() -> list[str]:
    """Gives who waits for a sidecar."""
    named = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    return [name for name in named if name.startswith("AdsServer.settled")]


async def test_a_policy_that_splits_the_calls_does_not_keep_a_canary_from_being_taken_back(plane: ControlPlane) -> None:
    plane.split("payment", CanarySplit("v2", 50.0))
    rules = plane.policy.rules.services["payment"]
    split = VersionSplit((), {"v1": 50, "v2": 50})
    methods = {name: replace(method, split=split) for name, method in rules.methods.items()}
    plane.apply(MeshPolicy({**plane.policy.rules.services, "payment": replace(rules, methods=methods)}))
    plane.split("payment", CanarySplit("v2", takes_calls=False))
    plane.split("payment", None)
    assert plane.rules("payment").canary is None


async def test_it_is_known_when_the_sidecars_of_a_former_control_plane_have_found_this_one(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_plane, "RECONNECTED_WITHIN", 1e6)
    waiting = asyncio.create_task(plane.reconnected())
    await asyncio.wait({waiting}, timeout=0.01)
    assert not waiting.done()
    waiting.cancel()
    monkeypatch.setattr(control_plane, "RECONNECTED_WITHIN", 0.0)
    await plane.reconnected()


async def test_a_version_is_not_stopped_before_sidecars_that_go_on_with_a_former_control_plane_have_left_it(
    registry: Registry, folder: Path, control_plane_socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_plane, "RECONNECTED_WITHIN", 0.0)
    async with marketplace_plane(registry, folder) as plane:
        traffic = FleetTraffic(plane, folder)
        traffic.restore(RELEASE, CanaryShare(20.0))
        removing = asyncio.create_task(traffic.remove(RELEASE))
        await asyncio.wait({removing}, timeout=0.05)
        assert not removing.done(), "no sidecar can have what has changed before it is served"
        async with plane.serving(control_plane_socket):
            with pytest.raises(SoukError, match="no system runs"):
                await removing
