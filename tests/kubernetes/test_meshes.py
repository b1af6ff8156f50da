"""Overlays and exports for meshes: an API server with the meshes' own kinds takes all of it, and refuses what is wrong.

Linkerd's definitions are in no registry: with LINKERD_CRDS, a folder of them as YAML, its own kinds are applied, too,
and without it only those that it shares with the Gateway API.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from souk.testing.engines import engine_path
from tests.kubernetes.cluster import MANIFESTS, TIMEOUT, Cluster, Manifest, Namespace, Refused, kustomized
from tests.kubernetes.test_rollouts import MIGRATION, WORKLOADS

pytestmark = [pytest.mark.kubernetes, pytest.mark.xdist_group("kubernetes")]
GOLDEN = MANIFESTS.parents[1] / "tests" / "mesh" / "export" / "golden"
TARGETS = sorted(path.name for path in GOLDEN.iterdir())
LINKERD = os.environ.get("LINKERD_CRDS", "")
LINKERDS = "policy.linkerd.io"
DNS = ("souk", "shop", "edge")
"""The namespaces of the overlays and of the exports."""


@pytest.fixture(scope="module")
def meshed(cluster: Cluster) -> Cluster:
    """The cluster, with the kinds of Istio and, if they are at hand, those of Linkerd."""
    definitions = [Path(engine_path("istio-crds")) / "crd-all.gen.yaml", *sorted(Path(LINKERD).glob("*.yaml"))]
    for path in definitions if LINKERD else definitions[:1]:
        cluster.kubectl("apply", "--server-side", "-f", str(path))
    cluster.kubectl("wait", "--for=condition=established", TIMEOUT, "crd", "--all")
    return cluster


@pytest.fixture
def namespaces(meshed: Cluster) -> Iterator[Cluster]:
    """Empty namespaces of the names that the resources have."""
    for name in DNS:
        meshed.kubectl("create", "namespace", name)
    yield meshed
    meshed.kubectl("delete", "namespace", TIMEOUT, *DNS)


def known(resources: Sequence[Manifest]) -> list[Manifest]:
    """Leaves out what this API server has no definitions of."""
    return [one for one in resources if LINKERD or not one["apiVersion"].startswith(LINKERDS)]


def export(target: str) -> list[Manifest]:
    """Reads what is exported to a target of a policy that uses all that the target can say."""
    return [one for path in sorted((GOLDEN / target).iterdir()) for one in yaml.safe_load_all(path.read_text())]


def applied(cluster: Cluster, resources: Sequence[Manifest]) -> list[str]:
    text = yaml.safe_dump_all(known(resources))
    return cluster.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", given=text).splitlines()


@pytest.mark.parametrize("target", TARGETS)
def test_everything_that_is_exported_is_taken(namespaces: Cluster, target: str) -> None:
    found = export(target)
    lines = applied(namespaces, found)
    assert len(lines) == len(known(found))
    assert all(line.endswith(" serverside-applied") for line in lines)


@pytest.mark.parametrize("mesh", ["istio", "istio-ambient", "linkerd"])
def test_the_overlay_of_a_mesh_is_taken_and_becomes_ready(namespaces: Cluster, mesh: str) -> None:
    found = list(yaml.safe_load_all(kustomized(f"overlays/{mesh}")))
    assert len(applied(namespaces, found)) == len(known(found))
    souk = Namespace(namespaces, "souk")
    souk.rolled_out(*WORKLOADS)
    souk.wait("condition=complete", "jobs", f"--selector={MIGRATION}")


def test_a_mesh_joins_a_running_system_and_leaves_it(namespaces: Cluster) -> None:
    souk = Namespace(namespaces, "souk")
    souk.apply(kustomized("base"))
    souk.rolled_out(*WORKLOADS)
    applied(namespaces, list(yaml.safe_load_all(kustomized("overlays/istio"))))
    souk.rolled_out(*WORKLOADS)
    assert variables(souk, "order") >= {"SOUK_INSTANCE"}
    assert not variables(souk, "order") & {"SOUK_REGISTRY", "SOUK_TLS_CERT"}
    souk.kubectl("rollout", "undo", "deployment/order")
    souk.rolled_out("order")
    assert variables(souk, "order") >= {"SOUK_REGISTRY", "SOUK_TLS_CERT"}


def test_istio_finds_nothing_wrong_but_that_no_proxy_runs(namespaces: Cluster) -> None:
    souk = Namespace(namespaces, "souk")
    overlay = kustomized("overlays/istio")
    applied(namespaces, list(yaml.safe_load_all(overlay)))
    souk.rolled_out(*WORKLOADS)
    assert analyzed(namespaces, "souk") == {NO_PROXY}
    wrong = overlay.replace("host: payment.souk", "host: nobody.souk")
    namespaces.kubectl("apply", "--server-side", "-f", "-", given=wrong)
    assert analyzed(namespaces, "souk") == {NO_PROXY, NO_SUCH_HOST, HOST_OF_NO_SERVICE}


NO_PROXY, NO_SUCH_HOST, HOST_OF_NO_SERVICE = "IST0103", "IST0101", "IST0174"


def analyzed(cluster: Cluster, namespace: str) -> set[str]:
    """Gives the codes of what istioctl finds in a namespace of the running API server."""
    command = (engine_path("istio"), "analyze", "--kubeconfig", cluster.kubeconfig, "-n", namespace, "-o", "json")
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    return {one["code"] for one in json.loads(done.stdout)}


def variables(namespace: Namespace, name: str) -> set[str]:
    [container] = namespace.get(f"deployment/{name}")["spec"]["template"]["spec"]["containers"]
    return {one["name"] for one in container["env"]}


WRONG = [
    ("istio", "mode: STRICT\n", "mode: STRICTER\n", "spec.mtls.mode"),
    ("istio", "perTryTimeout: 2s", "perTryTimeout: soon", "must be a valid duration"),
    ("istio", "action: ALLOW", "action: ADMIT", "spec.action"),
    ("istio", "maxEjectionPercent: 50", "maxEjectionPercent: half", "maxEjectionPercent"),
    ("istio", "attempts: 2", "tries: 2", "tries: field not declared"),
    ("istio-ambient", "targetRefs:", "targets:", "targets: field not declared"),
    ("gateway-api", "type: Exact", "type: Exactly", "spec.rules"),
    ("gateway-api", "request: 2s", "request: 2 seconds", "timeouts.request"),
    ("gateway-api", "weight: 90", "weight: -1", "weight"),
    (
        "linkerd",
        "service: shop.payment.v1.PaymentService",
        "service: shop/payment",
        "service must only contain valid characters",
    ),
    ("linkerd", "weight: 90", "weight: most", "weight"),
    ("linkerd", "accessPolicy: deny", "accessPolicies: deny", "accessPolicies: field not declared"),
    ("linkerd", "kind: ServiceAccount", "kind: 7", "spec.identityRefs"),
]


@pytest.mark.parametrize(("target", "right", "wrong", "why"), WRONG)
def test_what_is_wrong_is_refused(
    meshed: Cluster, namespace: Namespace, target: str, right: str, wrong: str, why: str
) -> None:
    texts = (yaml.safe_dump(one, sort_keys=False) for one in export(target))
    text = next(text for text in texts if right in text).replace("namespace: shop", f"namespace: {namespace.name}")
    if not known([yaml.safe_load(text)]):
        pytest.skip("LINKERD_CRDS names no folder with the definitions of Linkerd")
    assert len(applied(meshed, [yaml.safe_load(text)])) == 1
    with pytest.raises(Refused, match=why):
        applied(meshed, [yaml.safe_load(text.replace(right, wrong))])
