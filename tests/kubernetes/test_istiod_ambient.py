"""Istio's own control plane makes of the overlay for ambient mode what a waypoint enforces: who may call each method.

Its controller of waypoints does not run: the pod, the Service and the address that it would make are made here.
"""

import asyncio
import json
from collections.abc import Iterator

import pytest
import yaml

from marketplace.app.app import app
from souk.mesh.policy.who_may_call import who_may_call
from tests.kubernetes.cluster import TIMEOUT, Cluster, Manifest, Namespace, kustomized
from tests.kubernetes.istiod import LISTENERS, Istiod, rules_of
from tests.kubernetes.test_istiod import PORT, SERVICES, callers_by_path, host
from tests.kubernetes.test_meshes import applied, meshed  # noqa: F401 - a fixture
from tests.kubernetes.test_rollouts import WORKLOADS

pytestmark = [pytest.mark.kubernetes, pytest.mark.xdist_group("kubernetes")]
WAYPOINT = "waypoint"
LABELS = {"gateway.networking.k8s.io/gateway-name": WAYPOINT}


@pytest.fixture(scope="module")
def souk(meshed: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Namespace, Istiod]]:  # noqa: F811
    """The overlay in its namespace with a waypoint, and istiod, which has read it."""
    for name in ("souk", "istio-system"):
        meshed.kubectl("create", "namespace", name)
    namespace = Namespace(meshed, "souk")
    applied(meshed, list(yaml.safe_load_all(kustomized("overlays/istio-ambient"))))
    namespace.rolled_out(*WORKLOADS)
    namespace.apply(yaml.safe_dump_all(waypoint()))
    namespace.wait("condition=ready", f"pod/{WAYPOINT}")
    address = {"status": {"addresses": [{"type": "Hostname", "value": host(WAYPOINT)}]}}
    namespace.kubectl(
        *("patch", "gateways.gateway.networking.k8s.io", WAYPOINT, "--subresource=status"),
        *("--type=merge", "--patch", json.dumps(address)),
    )
    with Istiod(tmp_path_factory.mktemp("istiod"), meshed, ambient=True) as istiod:
        asyncio.run(istiod.start())
        yield namespace, istiod
    meshed.kubectl("delete", "namespace", TIMEOUT, "souk", "istio-system")


def waypoint() -> Iterator[Manifest]:
    """Makes what istiod's controller makes of the Gateway."""
    about = {"name": WAYPOINT, "labels": LABELS}
    container = {"name": "istio-proxy", "image": "proxy"}
    port = {"name": "hbone", "port": 15008, "appProtocol": "hbone"}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about}
    pod = {"serviceAccountName": WAYPOINT, "containers": [container]}
    yield {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": pod}
    yield {"apiVersion": "v1", "kind": "Service", "metadata": about, "spec": {"selector": LABELS, "ports": [port]}}


@pytest.mark.parametrize("service", SERVICES)
def test_the_waypoint_lets_in_exactly_those_who_may_call(souk: tuple[Namespace, Istiod], service: str) -> None:
    namespace, istiod = souk
    listeners = istiod.sends(namespace.get(f"pod/{WAYPOINT}"), LISTENERS, role=WAYPOINT)
    wanted = {method: set(reasons) for method, reasons in who_may_call(app.services).services[service].items()}
    found = callers_by_path(rules_of(listeners, f"|{PORT}|http|{host(service)}"))
    assert found == {method: callers for method, callers in wanted.items() if callers}
