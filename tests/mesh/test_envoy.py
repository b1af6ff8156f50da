"""A real Envoy that has nothing but its bootstrap gets the rest from our control plane."""

import asyncio
import dataclasses
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from souk.mesh.envoy.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Resource
from souk.mesh.xds.exchange import DeltaNode
from souk.mesh.xds.server import AdsServer
from souk.mesh.xds.snapshot import ResourceGroup, ResourceSnapshot
from souk.testing.servers.sidecar import SidecarProcess
from tests.mesh import envoy_resources as envoy
from tests.mesh.conftest import NODE
from tests.mesh.upstreams import Traffic, upstream

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def servers(folder: Path) -> AsyncIterator[dict[str, Path]]:
    """Two servers behind the mesh, by their names."""
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(upstream(folder / f"{name}.sock", name)) for name in ("a", "b")}


def publish(ads: AdsServer, *resources: Resource) -> None:
    ads.publish({NODE: ResourceSnapshot(ResourceGroup(resources))})


@pytest.fixture
def mesh(folder: Path, servers: dict[str, Path]) -> dict[str, Resource]:
    """A listener that leads to server a."""
    return {
        "cluster": envoy.cluster("payment"),
        "endpoints": envoy.endpoints("payment", servers["a"]),
        "listener": envoy.listener("outbound", folder / "in.sock"),
        "routes": envoy.routes("outbound", "payment"),
    }


async def test_traffic_flows_and_endpoints_change(
    ads: AdsServer, sidecar: SidecarProcess, mesh: dict[str, Resource], servers: dict[str, Path], folder: Path
) -> None:
    publish(ads, *mesh.values())
    await sidecar.start()
    taken = await ads.settled(NODE)
    assert taken[CLUSTER].held == {"payment": mesh["cluster"].version}
    assert {type_url: list(each.held) for type_url, each in taken.items()} == {
        CLUSTER: ["payment"],
        ENDPOINTS: ["payment"],
        LISTENER: ["outbound"],
        ROUTES: ["outbound"],
    }
    async with Traffic(folder / "in.sock") as traffic:
        await traffic.answered_by("a")
        publish(ads, *(mesh | {"endpoints": envoy.endpoints("payment", servers["b"])}).values())
        await traffic.answered_by("b")
    assert traffic.failures == []


async def test_a_cluster_that_changes_gets_its_endpoints_again(
    ads: AdsServer, sidecar: SidecarProcess, mesh: dict[str, Resource], folder: Path
) -> None:
    publish(ads, *mesh.values())
    await sidecar.start()
    await ads.settled(NODE)
    async with Traffic(folder / "in.sock") as traffic:
        await traffic.answered_by("a")
        publish(ads, *(mesh | {"cluster": envoy.cluster("payment", connect_timeout="3s")}).values())
        await ads.settled(NODE)
        assert (await sidecar.admin("/config_dump?resource=dynamic_warming_clusters")).json() == {}
        await traffic.answered_by("a")
    # It did not wait in vain until its limit of 15 s.
    timeouts = await sidecar.stats("init_fetch_timeout")
    assert "cluster.payment.init_fetch_timeout" in timeouts
    assert set(timeouts.values()) == {0}
    assert traffic.failures == []


async def test_routes_move_to_another_cluster_without_a_failed_request(
    ads: AdsServer, sidecar: SidecarProcess, mesh: dict[str, Resource], servers: dict[str, Path], folder: Path
) -> None:
    publish(ads, *mesh.values())
    await sidecar.start()
    await ads.settled(NODE)
    async with Traffic(folder / "in.sock") as traffic:
        await traffic.answered_by("a")
        for name, server in (("second", "b"), ("third", "a")) * 5:
            new = (envoy.cluster(name), envoy.endpoints(name, servers[server]), envoy.routes("outbound", name))
            publish(ads, mesh["listener"], *new)
            await traffic.answered_by(server)
            assert list((await ads.settled(NODE))[CLUSTER].held) == [name]
    assert traffic.failures == []


async def test_a_broken_resource_is_rejected_and_shown_and_the_one_before_serves(
    ads: AdsServer, sidecar: SidecarProcess, mesh: dict[str, Resource], servers: dict[str, Path], folder: Path
) -> None:
    publish(ads, *mesh.values())
    await sidecar.start()
    await ads.settled(NODE)
    broken = envoy.cluster("payment", lb_policy="RING_HASH", ring_hash_lb_config={"minimum_ring_size": "9000000"})
    others = [envoy.cluster(name) for name in ("x", "y", "z")]
    async with Traffic(folder / "in.sock") as traffic:
        publish(ads, *(mesh | {"cluster": broken}).values(), *others)
        taken = (await ads.settled(NODE))[CLUSTER]
        (rejection,) = taken.rejections
        assert (rejection.name, rejection.version) == ("payment", broken.version)
        assert "minimum_ring_size" in rejection.error.lower() or "MinimumRingSize" in rejection.error
        assert taken.held == {"payment": mesh["cluster"].version} | {one.name: one.version for one in others}
        await traffic.answered_by("a")
        # It is not sent again with the next change.
        rejected = (await sidecar.stats("cds.update_rejected"))["cluster_manager.cds.update_rejected"]
        publish(
            ads, mesh["listener"], mesh["routes"], broken, envoy.endpoints("payment", servers["b"]), envoy.cluster("x")
        )
        await traffic.answered_by("b")
        await ads.settled(NODE)
        assert (await sidecar.stats("cds.update_rejected"))["cluster_manager.cds.update_rejected"] == rejected
        # Once it is mended, nothing is left of the rejection.
        mended = envoy.cluster("payment", connect_timeout="2s")
        publish(ads, *(mesh | {"cluster": mended}).values())
        taken = (await ads.settled(NODE))[CLUSTER]
        assert (taken.held, taken.rejections) == ({"payment": mended.version}, ())
    assert traffic.failures == []


async def test_a_control_plane_that_is_killed_and_started_anew_costs_no_request(
    sidecar: SidecarProcess, servers: dict[str, Path], folder: Path, control_plane_socket: Path
) -> None:
    first = await _control_plane(control_plane_socket, folder, "a")
    try:
        await sidecar.start()
        await _ready(sidecar)
        async with Traffic(folder / "in.sock") as traffic:
            await traffic.answered_by("a")
            before = await sidecar.stats("(cds|lds|rds).*update_success")
            first.kill()
            await first.wait()
            await traffic.answered_by("a")
            second = await _control_plane(control_plane_socket, folder, "b")
            try:
                await traffic.answered_by("b")
                # The sidecar said what it had: clusters, listeners and routes were not sent again.
                assert await sidecar.stats("(cds|lds|rds).*update_success") == before
            finally:
                second.kill()
                await second.wait()
        assert traffic.failures == []
    finally:
        if first.returncode is None:
            first.kill()
            await first.wait()


async def test_a_wrong_token_is_refused(
    sidecar: SidecarProcess, mesh: dict[str, Resource], control_plane_socket: Path
) -> None:
    tried: asyncio.Queue[tuple[DeltaNode, str]] = asyncio.Queue()

    def refuse(node: DeltaNode, token: str) -> bool:
        tried.put_nowait((node, token))
        return False

    ads = AdsServer(refuse)
    await ads.start(control_plane_socket)
    try:
        publish(ads, *mesh.values())
        sidecar.sidecar = dataclasses.replace(sidecar.sidecar, token="wrong")
        await sidecar.start()
        assert await tried.get() == await tried.get() == (DeltaNode(NODE, "payment"), "wrong")
        assert ads.connected == frozenset()
        assert (await sidecar.stats("listener_manager.lds.update_success")) == {
            "listener_manager.lds.update_success": 0
        }
    finally:
        await ads.stop()


async def _control_plane(socket: Path, folder: Path, server: str) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "tests.mesh.control_plane_process", str(socket), NODE, str(folder), server)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def _ready(sidecar: SidecarProcess) -> None:
    """Waits until Envoy has all that it needs to serve."""
    while not (await sidecar.admin("/ready")).is_success:
        await asyncio.sleep(0.02)
