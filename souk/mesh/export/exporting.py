"""Exports a policy, with who may call whom, to the resources of a target; refuses what the target cannot say."""

from collections.abc import Iterator, Sequence

import yaml

from souk.kernel.errors import ConfigurationError
from souk.mesh.export.cluster import Cluster, Resource, pods_of
from souk.mesh.export.gateway_api import inside
from souk.mesh.export.gateway_api.outside import outside
from souk.mesh.export.istio import access as istio_access
from souk.mesh.export.istio.destinations import destination_rule
from souk.mesh.export.istio.routes import virtual_service
from souk.mesh.export.linkerd import inbound, outbound
from souk.mesh.export.targets import MeshTarget, RefusedFeature, refusals
from souk.mesh.policy.policy import MeshPolicy
from souk.mesh.policy.who_may_call import WhoMayCall


class ExportRefused(ConfigurationError):
    """A target cannot say all of a policy. Its text has one line for each thing that it cannot, and why."""

    def __init__(self, target: MeshTarget, refused: Sequence[RefusedFeature]) -> None:
        self.refused = tuple(refused)
        super().__init__("\n".join(f"{target.value} cannot say {one}" for one in refused))


def exported(
    target: MeshTarget, policy: MeshPolicy, who: WhoMayCall, cluster: Cluster, *, ambient: bool = False
) -> dict[str, list[Resource]]:
    """Returns the resources by the file that each belongs in: one for each service, and `mesh` for the rest.

    `ambient` is for Istio without sidecars. Raises ExportRefused for what the target cannot say; nothing is left out.
    """
    if refused := refusals(policy, target):
        raise ExportRefused(target, refused)
    make = {MeshTarget.ISTIO: _istio, MeshTarget.LINKERD: _linkerd, MeshTarget.GATEWAY_API: _gateway_api}[target]
    files: dict[str, list[Resource]] = {}
    for file, resource in make(policy, who, cluster, ambient):
        files.setdefault(file, []).append(resource)
    return files


def text_of(resources: Sequence[Resource]) -> str:
    """Returns resources as YAML, one document for each."""
    return yaml.dump_all(resources, Dumper=_WithoutAliases, sort_keys=False, explicit_start=True, width=120)


class _WithoutAliases(yaml.SafeDumper):
    """Writes what occurs twice twice, as people do."""

    def ignore_aliases(self, data: object) -> bool:
        """Says that nothing is written as an alias."""
        return True


Made = Iterator[tuple[str, Resource]]
_SHARED = "mesh"


def _istio(policy: MeshPolicy, who: WhoMayCall, cluster: Cluster, ambient: bool) -> Made:
    yield _SHARED, istio_access.namespace(cluster, ambient=ambient)
    yield _SHARED, istio_access.mutual_tls(cluster)
    if ambient:
        yield _SHARED, istio_access.waypoint(cluster)
    yield _SHARED, istio_access.gateway_is_open(cluster)
    for name, rules in policy.services.items():
        yield name, cluster.service(name, pods_of(name))
        yield name, virtual_service(cluster, name, rules)
        yield name, destination_rule(cluster, name, rules)
        for resource in istio_access.policies(cluster, name, who, ambient=ambient):
            yield name, resource


def _linkerd(policy: MeshPolicy, who: WhoMayCall, cluster: Cluster, ambient: bool) -> Made:
    sets = {callers for name in policy.services for callers, _ in inbound.callers_of(name, who)}
    yield _SHARED, inbound.anywhere(cluster)
    for callers in sorted(sets):
        yield _SHARED, inbound.identities(cluster, callers)
    for name, rules in policy.services.items():
        parts = (outbound.services(cluster, name, rules), outbound.routes(cluster, name, rules))
        for resource in (*parts[0], *parts[1], inbound.server(cluster, name), *inbound.access(cluster, name, who)):
            yield name, resource


def _gateway_api(policy: MeshPolicy, who: WhoMayCall, cluster: Cluster, ambient: bool) -> Made:
    for resource in outside(cluster):
        yield _SHARED, resource
    for name, rules in policy.services.items():
        for resource in (*inside.services(cluster, name, rules), *inside.routes(cluster, name, rules)):
            yield name, resource
        yield name, inside.who_may_connect(cluster, name, who)
