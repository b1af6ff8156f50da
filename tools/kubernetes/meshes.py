"""The overlays for meshes: what a mesh is told, and what pods leave to it.

Processes call by the names of Services, by gRPC and without TLS and tries of their own: the proxy beside them has both.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ambient import ambient_policies, metrics_are_read
from calls import callees_of, callers_of
from names import CONTAINER, GATEWAY, GRPC, METRICS, SERVICES, SYSTEM, labels, selector
from network import DATABASE, peer, policy, ports
from pods import Manifest

from souk.mesh.export.cluster import Cluster, Resource
from souk.mesh.export.exporting import exported
from souk.mesh.export.targets import MeshTarget
from souk.mesh.policy.reading import parse_policy
from souk.mesh.policy.who_may_call import who_may_call

POLICIES = Path(__file__).resolve().parents[2] / "deploy" / "mesh"
CONFIGURATION = "/etc/souk"
RESILIENCE = "[default.retry]\ntries = 1 # the mesh tries again; two layers that do so multiply\n"


@dataclass(frozen=True)
class MeshOverlay:
    """What differs between meshes.

    `pods` are the annotations of pods in the mesh. Proxies ask the control plane, in its namespace, at the ports of
    `control`; and those of pods reach each other at the ports of `between`, too. Where the mesh is `ambient`, no pod
    has a proxy of its own.
    """

    target: MeshTarget
    pods: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ""
    control: tuple[int, ...] = ()
    between: tuple[int, ...] = ()
    ambient: bool = False

    @property
    def name(self) -> str:
        """The name of the overlay's folder."""
        return f"{self.target.value}-ambient" if self.ambient else self.target.value


OVERLAYS = (
    MeshOverlay(
        MeshTarget.ISTIO,
        {
            "traffic.sidecar.istio.io/excludeInboundPorts": str(METRICS),
            "traffic.sidecar.istio.io/excludeOutboundPorts": str(DATABASE),
        },
        "istio-system",
        (15012,),
    ),
    MeshOverlay(MeshTarget.ISTIO, ambient=True),
    MeshOverlay(
        MeshTarget.LINKERD,
        {
            "linkerd.io/inject": "enabled",
            "config.linkerd.io/skip-inbound-ports": str(METRICS),
            "config.linkerd.io/skip-outbound-ports": str(DATABASE),
        },
        "linkerd",
        (8080, 8086, 8090),
        (4143,),
    ),
)


def mesh_resources(mesh: MeshOverlay) -> Iterator[Resource]:
    """Gives what `souk mesh export` gives for the policy that the repository has for a target, and what lets metrics be
    read where that policy would not."""
    text = (POLICIES / f"{mesh.target.value}.yaml").read_text("utf-8")
    policy_read = parse_policy(text, SERVICES)
    cluster = Cluster(SYSTEM)
    for file in exported(mesh.target, policy_read, who_may_call(SERVICES), cluster, ambient=mesh.ambient).values():
        yield from file
    if mesh.ambient:
        yield from metrics_are_read(cluster)


def mesh_policies(mesh: MeshOverlay) -> Iterator[Manifest]:
    """Gives what the network has to let through for the mesh, beside what the base does."""
    if mesh.ambient:
        yield from ambient_policies()
        return
    namespace = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": mesh.namespace}}}
    control = [{"to": [namespace], "ports": ports(*mesh.control)}]
    yield policy("souk-mesh", {}, {"app.kubernetes.io/part-of": SYSTEM}, None, control)
    if mesh.between:
        for name in (GATEWAY, *(service.name for service in SERVICES)):
            yield _proxies(name, mesh.between)


def _proxies(name: str, at: tuple[int, ...]) -> Manifest:
    """Makes the policy by which a workload's proxy reaches those of its callees, and is reached by its callers'.

    The gateway's is reached by everybody, as the gateway is: that of an ingress in the mesh may be anywhere.
    """
    is_gateway = name == GATEWAY
    callers = {} if is_gateway else {"from": [peer(one) for one in callers_of(name)]}
    callees = [peer(one) for one in callees_of(name)]
    return policy(
        f"{name}-mesh",
        labels(name, "gateway" if is_gateway else "service"),
        selector(name),
        [{**callers, "ports": ports(*at)}],
        [{"to": callees, "ports": ports(*at)}] if callees else None,
    )


def mesh_settings() -> dict[str, str]:
    """Gives the settings of processes in a mesh, by their variables."""
    addresses = ",".join(f"{service.name}={service.name}:{GRPC}" for service in SERVICES)
    return {
        "SOUK_PLAIN_TCP": "true",
        "SOUK_HOP": "grpc",
        "SOUK_ADDRESSES": addresses,
        "SOUK_RESILIENCE": f"{CONFIGURATION}/resilience.toml",
    }


def mesh_kustomization(mesh: MeshOverlay, job_names: Manifest) -> Manifest:
    """Makes the kustomization of an overlay, whose files are mesh.yaml, network.yaml, settings.env, resilience.toml."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": SYSTEM,
        "resources": ["../../base", "mesh.yaml", "network.yaml"],
        "configMapGenerator": [
            {"name": "souk-settings", "behavior": "merge", "envs": ["settings.env"]},
            {"name": "souk-resilience", "files": ["resilience.toml"]},
        ],
        "patches": [{"target": {"kind": "Deployment"}, "patch": _deployment(mesh)}],
        "replacements": [job_names],
    }


def _deployment(mesh: MeshOverlay) -> Manifest:
    removed = ("SOUK_REGISTRY", "SOUK_TLS_CERT", "SOUK_TLS_KEY", "SOUK_TLS_CA")
    container = {
        "name": CONTAINER,
        "env": [{"name": name, "$patch": "delete"} for name in removed],
        "volumeMounts": [
            {"mountPath": "/run/souk/tls", "$patch": "delete"},
            {"name": "resilience", "mountPath": CONFIGURATION, "readOnly": True},
        ],
    }
    volumes = [
        {"name": "tls", "$patch": "delete"},
        {"name": "resilience", "configMap": {"name": "souk-resilience"}},
    ]
    annotated = {"metadata": {"annotations": dict(mesh.pods)}} if mesh.pods else {}
    template = {**annotated, "spec": {"containers": [container], "volumes": volumes}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "any"},
        "spec": {"template": template},
    }
