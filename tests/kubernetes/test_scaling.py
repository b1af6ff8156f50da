"""The autoscaler follows the figures of pods; only the figures are made up, by an API of metrics of this test."""

import json
from collections.abc import Iterator

import pytest
import yaml

from tests.kubernetes.cluster import Cluster, Namespace, eventually, kustomized
from tests.kubernetes.metrics import MetricsApi

pytestmark = [pytest.mark.kubernetes, pytest.mark.xdist_group("kubernetes")]
LEAST, MOST = 2, 6
SERVICE = "order"


@pytest.fixture(scope="module")
def metrics(cluster: Cluster) -> Iterator[MetricsApi]:
    """The figures of pods, which a test sets."""
    with MetricsApi(cluster.api.credentials) as api:
        cluster.kubectl("apply", "--server-side", "-f", "-", given=yaml.safe_dump_all(api.registration()))
        cluster.kubectl("wait", "--for=condition=available", "--timeout=180s", "apiservice/v1beta1.metrics.k8s.io")
        yield api
        cluster.kubectl("delete", "apiservice/v1beta1.metrics.k8s.io")


@pytest.fixture
def order(namespace: Namespace) -> Namespace:
    """A namespace in which the order service runs, and scales down at once."""
    found = [one for one in yaml.safe_load_all(kustomized("base")) if one["metadata"]["name"] == SERVICE]
    for one in found:
        if one["kind"] == "HorizontalPodAutoscaler":
            one["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] = 0
    namespace.apply(yaml.safe_dump_all(found))
    return namespace


def replicas(namespace: Namespace) -> int:
    return int(namespace.get(f"deployment/{SERVICE}")["spec"]["replicas"])


def test_pods_join_by_their_cpu_and_leave_again(metrics: MetricsApi, order: Namespace) -> None:
    metrics.use(namespace=order, cpu="200m")
    eventually(lambda: replicas(order) == LEAST)
    order.wait(f"jsonpath={{.status.availableReplicas}}={LEAST}", f"deployment/{SERVICE}")
    metrics.use(namespace=order, cpu="900m")
    eventually(lambda: replicas(order) > LEAST)
    eventually(lambda: replicas(order) == MOST)
    order.wait(f"jsonpath={{.status.availableReplicas}}={MOST}", f"deployment/{SERVICE}")
    metrics.use(namespace=order, cpu="100m")
    eventually(lambda: replicas(order) == LEAST)
    order.rolled_out(SERVICE)


def test_a_proxy_beside_the_service_does_not_count(metrics: MetricsApi, order: Namespace) -> None:
    metrics.use(namespace=order, cpu="200m", proxy="5")
    eventually(lambda: replicas(order) == LEAST)

    def has_measured() -> bool:
        found = order.get(f"hpa/{SERVICE}")["status"].get("currentMetrics") or [{}]
        return "containerResource" in found[0]

    eventually(has_measured)
    [found] = order.get(f"hpa/{SERVICE}")["status"]["currentMetrics"]
    assert found["containerResource"]["current"]["averageValue"] == "200m"
    assert replicas(order) == LEAST


def test_a_number_outside_the_autoscalers_limits_does_not_last(metrics: MetricsApi, order: Namespace) -> None:
    metrics.use(namespace=order, cpu="600m")
    order.kubectl("scale", f"deployment/{SERVICE}", "--replicas=9")
    eventually(lambda: replicas(order) == MOST)


def test_applying_again_leaves_the_number_of_pods_to_the_autoscaler(metrics: MetricsApi, order: Namespace) -> None:
    metrics.use(namespace=order, cpu="600m")
    order.kubectl("patch", f"hpa/{SERVICE}", "--patch", json.dumps({"spec": {"minReplicas": 4}}))
    order.wait("jsonpath={.status.availableReplicas}=4", f"deployment/{SERVICE}")
    manifests = [one for one in yaml.safe_load_all(kustomized("base")) if one["kind"] == "Deployment"]
    order.apply(yaml.safe_dump_all(one for one in manifests if one["metadata"]["name"] == SERVICE))
    assert replicas(order) == 4
