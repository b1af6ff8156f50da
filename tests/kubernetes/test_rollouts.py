"""What the controllers make of the manifests: the nodes only pretend, the decisions are real."""

import json
from collections.abc import Iterator

import pytest
import yaml

from tests.kubernetes.cluster import TIMEOUT, Cluster, Namespace, Refused, kustomized
from tests.kubernetes.nodes import NODES

pytestmark = [pytest.mark.kubernetes, pytest.mark.xdist_group("kubernetes")]
WORKLOADS = ("analytics", "gateway", "inventory", "notification", "order", "payment", "product", "user")
MIGRATION = "app.kubernetes.io/component=migration"
LEAST = 2
"""Pods of each workload that its autoscaler keeps."""


@pytest.fixture(scope="module")
def system(cluster: Cluster) -> Iterator[Namespace]:
    """A namespace in which the whole system was applied and has rolled out."""
    made = cluster.namespace()
    made.apply(kustomized("base"))
    made.rolled_out(*WORKLOADS)
    for name in WORKLOADS:
        made.wait(f"jsonpath={{.status.availableReplicas}}={LEAST}", f"deployment/{name}")
    yield made
    made.remove()


def images(system: Namespace, name: str) -> set[str]:
    return {one["spec"]["containers"][0]["image"] for one in system.pods(name)}


def evict(system: Namespace, pod: str) -> None:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": system.name}}
    path = f"/api/v1/namespaces/{system.name}/pods/{pod}/eviction"
    system.kubectl("create", "--raw", path, "-f", "-", given=json.dumps(body))


def test_the_smallest_system_becomes_ready(cluster: Cluster) -> None:
    smallest = cluster.namespace()
    smallest.apply(kustomized("overlays/minimal"))
    smallest.rolled_out(*WORKLOADS)
    smallest.wait("condition=complete", "jobs", f"--selector={MIGRATION}")
    assert [len(smallest.pods(name)) for name in WORKLOADS] == [1] * len(WORKLOADS)
    smallest.remove()


def test_migrations_run_to_their_end(system: Namespace) -> None:
    system.wait("condition=complete", "jobs", f"--selector={MIGRATION}")
    jobs = system.get("jobs")["items"]
    assert {job["metadata"]["labels"]["app.kubernetes.io/name"] for job in jobs} >= {"migrate-order", "migrate-payment"}


def test_every_ready_pod_is_an_endpoint_under_the_name_that_dns_asks_for(system: Namespace) -> None:
    for name in set(WORKLOADS) - {"gateway"}:
        slices = f"--selector=kubernetes.io/service-name={name}-service"
        system.wait("jsonpath={.endpoints[1].conditions.ready}=true", "endpointslices", slices)
        [found] = system.get("endpointslices", slices)["items"]
        assert {"grpc": 50051}.items() <= {port["name"]: port["port"] for port in found["ports"]}.items()
        addresses = {endpoint["addresses"][0] for endpoint in found["endpoints"]}
        assert addresses == {one["status"]["podIP"] for one in system.pods(name)}


def test_pods_of_a_workload_are_spread_over_nodes(system: Namespace) -> None:
    for name in WORKLOADS:
        assert len({one["spec"]["nodeName"] for one in system.pods(name)}) == LEAST


def test_a_new_version_rolls_out_without_a_gap_and_is_undone(system: Namespace) -> None:
    before = images(system, "order")
    with system.cluster.watching(
        *("--namespace", system.name, "get", "deployment/order", "--watch"),
        "--output=jsonpath={.status.availableReplicas} {.status.replicas}{'\\n'}",
    ) as watch:
        assert watch.stdout is not None
        lines = [watch.stdout.readline()]
        system.apply(kustomized("base", tag="0.2.0"))
        system.rolled_out("order")
        assert images(system, "order") == {"registry.example/souk:0.2.0"}
        system.kubectl("rollout", "undo", "deployment/order")
        system.rolled_out("order")
        watch.terminate()
        lines.extend(watch.stdout)
    assert images(system, "order") == before
    available, pods = zip(*(map(int, line.split()) for line in lines), strict=True)
    assert min(available) >= LEAST
    assert max(pods) == LEAST + 1


def test_after_an_undo_an_apply_has_to_be_forced(system: Namespace) -> None:
    with pytest.raises(Refused, match=r"conflicts with \"kubectl\""):
        system.apply(kustomized("base", tag="0.3.0"))
    system.apply(kustomized("base", tag="0.3.0"), "--force-conflicts")
    system.rolled_out(*WORKLOADS)
    assert images(system, "order") == {"registry.example/souk:0.3.0"}


def test_an_image_whose_pods_never_run_takes_the_place_of_none(system: Namespace) -> None:
    pod = {"annotations": {"souk.example/held": "yes"}}
    patch = {"spec": {"progressDeadlineSeconds": 2, "template": {"metadata": pod}}}
    old = {one["metadata"]["name"] for one in system.pods("user")}
    system.kubectl("patch", "deployment/user", "--patch", json.dumps(patch))
    with pytest.raises(Refused, match="exceeded its progress deadline"):
        system.rolled_out("user")
    assert old < {one["metadata"]["name"] for one in system.pods("user")}
    assert system.get("deployment/user")["status"]["availableReplicas"] == LEAST
    system.kubectl("rollout", "undo", "deployment/user")
    system.rolled_out("user")
    assert old == {one["metadata"]["name"] for one in system.pods("user")}


def test_a_new_version_has_migrations_of_its_own(system: Namespace) -> None:
    old = {job["metadata"]["name"] for job in system.get("jobs")["items"]}
    system.apply(kustomized("base", tag="0.4.0"), "--force-conflicts")
    system.wait("condition=complete", "jobs", f"--selector={MIGRATION}")
    new = {job["metadata"]["name"] for job in system.get("jobs")["items"]} - old
    assert new == {name.partition("--")[0] + "--0.4.0" for name in old}
    system.rolled_out(*WORKLOADS)
    assert images(system, "order") == {"registry.example/souk:0.4.0"}


def test_a_wrong_field_is_refused_and_nothing_changes(system: Namespace) -> None:
    before = system.get("deployment/order")
    wrong = kustomized("base", tag="0.5.0").replace("maxUnavailable: 0", "maxUnavailable: none")
    with pytest.raises(Refused, match=r"rollingUpdate.maxUnavailable"):
        system.apply(yaml.safe_dump_all(one for one in yaml.safe_load_all(wrong) if one["metadata"]["name"] == "order"))
    assert system.get("deployment/order")["metadata"]["generation"] == before["metadata"]["generation"]


def test_a_node_is_drained_as_the_disruption_budget_allows(system: Namespace) -> None:
    cluster = system.cluster
    first, second = (one["metadata"]["name"] for one in system.pods("payment"))
    system.wait("jsonpath={.status.disruptionsAllowed}=1", "pdb/payment")
    cluster.kubectl("cordon", *NODES)  # so that nothing replaces what is evicted
    try:
        evict(system, first)
        with pytest.raises(Refused, match="disruption budget"):
            evict(system, second)
        cluster.kubectl("uncordon", *NODES)
        system.rolled_out("payment")
        node = system.pods("payment")[0]["spec"]["nodeName"]
        cluster.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", TIMEOUT)
        system.rolled_out(*WORKLOADS)
        assert node not in {one["spec"]["nodeName"] for name in WORKLOADS for one in system.pods(name)}
    finally:
        cluster.kubectl("uncordon", *NODES)
