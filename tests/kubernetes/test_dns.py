"""What the DNS adapter finds in a cluster: the records that the cluster's name server makes of ready pods."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import yaml

from souk.discovery.open import open_registry
from souk.discovery.registry import Registry
from souk.kernel.clock import SystemClock
from souk.testing.registry.harness import Watcher, watching
from tests.kubernetes.cluster import Cluster, Manifest, Namespace, kustomized
from tests.kubernetes.coredns import CoreDns
from tests.kubernetes.test_rollouts import LEAST, WORKLOADS

pytestmark = [pytest.mark.kubernetes, pytest.mark.xdist_group("kubernetes")]
SERVICES = tuple(name for name in WORKLOADS if name != "gateway")
PORT = 50051


@pytest.fixture(scope="module")
def dns(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CoreDns]:
    """The cluster's name server."""
    with CoreDns(tmp_path_factory.mktemp("coredns"), cluster) as server:
        asyncio.run(server.start())
        yield server


@pytest.fixture
def system(cluster: Cluster, namespace: Namespace) -> Namespace:
    """The whole system, which has rolled out in a namespace of its own."""
    namespace.apply(kustomized("base"))
    namespace.rolled_out(*WORKLOADS)
    for name in SERVICES:
        namespace.wait(f"jsonpath={{.status.availableReplicas}}={LEAST}", f"deployment/{name}")
    return namespace


@pytest.fixture
def inventory(cluster: Cluster) -> Iterator[Namespace]:
    """Inventory alone, in the namespace `default`."""
    kinds = ("ServiceAccount", "Service", "Deployment")
    base = [one for one in yaml.safe_load_all(kustomized("base")) if one["kind"] in kinds]
    own = yaml.safe_dump_all(one for one in base if one["metadata"]["labels"]["app.kubernetes.io/name"] == "inventory")
    default = Namespace(cluster, "default")
    default.apply(own)
    default.rolled_out("inventory")
    yield default
    default.kubectl("delete", "-f", "-", given=own)


def registry_of(pods: Manifest) -> str:
    """Gives the URL of the registry that pods of a Deployment are given."""
    [container] = pods["spec"]["template"]["spec"]["containers"]
    return str(next(one["value"] for one in container["env"] if one["name"] == "SOUK_REGISTRY"))


@asynccontextmanager
async def opened(namespace: Namespace, dns: CoreDns, more: str = "") -> AsyncIterator[Registry]:
    """Opens the registry that the pods have, at this name server instead of the one that a pod has in resolv.conf."""
    url = registry_of(namespace.get("deployment/inventory")).replace("$(POD_NAMESPACE)", namespace.name)
    registry = await open_registry(url.replace("dns:///", f"dns://127.0.0.1:{dns.port}/") + more, SystemClock())
    try:
        yield registry
    finally:
        await registry.close()


def ready(namespace: Namespace, name: str) -> set[str]:
    """Gives the addresses of a workload's pods that are ready."""
    return {
        f"{one['status']['podIP']}:{PORT}"
        for one in namespace.pods(name)
        if {"type": "Ready", "status": "True"}.items() <= conditions(one)["Ready"].items()
    }


def conditions(pod: Manifest) -> dict[str, Manifest]:
    return {one["type"]: one for one in pod["status"]["conditions"]}


async def knows(watcher: Watcher, addresses: set[str]) -> None:
    await watcher.until(lambda it: {one.address for one in it.known.values()} == addresses)


async def test_every_service_is_found_with_its_ready_pods(system: Namespace, dns: CoreDns) -> None:
    async with opened(system, dns) as registry:
        for name in SERVICES:
            addresses = ready(system, name)
            assert len(addresses) == LEAST, name
            async with watching(registry, name) as watcher:
                await knows(watcher, addresses)


async def test_an_instance_bears_the_name_of_its_pods_record(inventory: Namespace, dns: CoreDns) -> None:
    async with opened(inventory, dns) as registry, watching(registry, "inventory") as watcher:
        await knows(watcher, ready(inventory, "inventory"))
        names = {
            one["status"]["podIP"].replace(".", "-") + ".inventory-service.default.svc.cluster.local"
            for one in inventory.pods("inventory")
        }
        assert watcher.known.keys() == names


async def test_pods_that_come_and_go_and_are_not_ready(inventory: Namespace, dns: CoreDns) -> None:
    async with opened(inventory, dns) as registry, watching(registry, "inventory") as watcher:
        before = ready(inventory, "inventory")
        await knows(watcher, before)
        inventory.kubectl("scale", "deployment/inventory", "--replicas=4")
        inventory.rolled_out("inventory")
        more = ready(inventory, "inventory")
        assert len(more) == 4
        await knows(watcher, more)
        pod = inventory.pods("inventory")[0]
        set_ready(inventory, pod, "False")
        await knows(watcher, more - {f"{pod['status']['podIP']}:{PORT}"})
        set_ready(inventory, pod, "True")
        await knows(watcher, more)
        inventory.kubectl("scale", "deployment/inventory", "--replicas=0")
        await knows(watcher, set())
        assert not registry.away, "that nobody is there is an answer"


def set_ready(namespace: Namespace, pod: Manifest, status: str) -> None:
    """Says of a pod what its kubelet would after its probe."""
    found = {**conditions(pod), "Ready": {**conditions(pod)["Ready"], "status": status}}
    patch = json.dumps({"status": {"conditions": list(found.values())}})
    namespace.kubectl("patch", "pod", pod["metadata"]["name"], "--subresource=status", "--patch", patch)


async def test_what_is_known_stays_while_the_name_server_is_away(inventory: Namespace, dns: CoreDns) -> None:
    async with opened(inventory, dns) as registry, watching(registry, "inventory") as watcher:
        before = ready(inventory, "inventory")
        await knows(watcher, before)
        dns.kill()
        inventory.kubectl("scale", "deployment/inventory", "--replicas=3")
        inventory.rolled_out("inventory")
        while not registry.away:
            await asyncio.sleep(0.1)
        assert {one.address for one in watcher.known.values()} == before
        await dns.start()
        await knows(watcher, ready(inventory, "inventory"))


async def test_addresses_without_records_of_services(inventory: Namespace, dns: CoreDns) -> None:
    more = f"&srv=_none._tcp&port={PORT}"
    async with opened(inventory, dns, more) as registry, watching(registry, "inventory") as watcher:
        await knows(watcher, ready(inventory, "inventory"))


async def test_a_service_that_does_not_exist_has_no_instances(inventory: Namespace, dns: CoreDns) -> None:
    async with opened(inventory, dns) as registry, watching(registry, "nobody") as watcher:
        async with watching(registry, "inventory") as other:
            await knows(other, ready(inventory, "inventory"))
        assert watcher.changes == []
        assert not registry.away
