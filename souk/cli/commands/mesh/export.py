"""`souk mesh export`: the mesh's policy, and who may call whom, as resources of a mesh in Kubernetes."""

from pathlib import Path
from typing import Any

import click

from souk.cli.commands.mesh.policy_file import POLICY, chosen, policy_in
from souk.cli.group import example
from souk.cli.output.terminal import print_line
from souk.mesh.export.cluster import Cluster
from souk.mesh.export.exporting import exported, text_of
from souk.mesh.export.targets import MeshTarget
from souk.mesh.policy.who_may_call import who_may_call
from souk.runtime.config import entry_points
from souk.runtime.config.environment import from_environment

_PORT = click.IntRange(1, 65_535)


class _Ingress(click.ParamType[tuple[str, str]]):
    """The type of a reference to a Gateway, as NAMESPACE/NAME."""

    name = "reference"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Parses the text of the option, as click calls it."""
        namespace, slash, name = str(value).partition("/")
        if not (namespace and slash and name) or "/" in name:
            self.fail(f"{value!r} must be NAMESPACE/NAME of a Gateway", param, ctx)
        return namespace, name


@click.command(
    epilog=example(
        """
souk mesh export istio --policy deploy/mesh/istio.yaml | kubectl apply -f -
souk mesh export istio --ambient --namespace shop --output shop
souk mesh export linkerd --policy deploy/mesh/linkerd.yaml
souk mesh export gateway-api --policy deploy/mesh/gateway-api.yaml --ingress edge/public
"""
    )
)
@click.argument("target", type=click.Choice([target.value for target in MeshTarget]))
@POLICY
@click.option("--namespace", default="souk", show_default=True, help="The namespace of the services.")
@click.option("--output", type=click.Path(path_type=Path), metavar="DIR", help="One file for each service, in DIR.")
@click.option("--ambient", is_flag=True, help="For Istio without sidecars, with a waypoint.")
@click.option("--port", type=_PORT, default=50051, show_default=True, help="The port on which services take calls.")
@click.option("--trust-domain", default="cluster.local", show_default=True, help="That of the mesh's identities.")
@click.option(
    "--ingress", type=_Ingress(), metavar="NAMESPACE/NAME", help="The Gateway that leads to ours (gateway-api)."
)
@click.option(
    "--backend-ca", default="", metavar="CONFIGMAP", help="Who signed our gateway's certificate (gateway-api)."
)
def export(
    target: str,
    policy: Path | None,
    namespace: str,
    output: Path | None,
    ambient: bool,
    port: int,
    trust_domain: str,
    ingress: tuple[str, str] | None,
    backend_ca: str,
) -> None:
    """Prints the policy, and who may call whom, as resources of TARGET.

    What TARGET cannot say is refused, one line each, with what to write if it is not needed; nothing is left out.
    docs/mesh.md has the table.
    """
    to = MeshTarget(target)
    _require_of(to, MeshTarget.ISTIO, {"--ambient": ambient})
    _require_of(to, MeshTarget.GATEWAY_API, {"--ingress": ingress, "--backend-ca": backend_ca})
    settings = from_environment()
    services = entry_points.app(settings.app).services
    cluster = Cluster(namespace, port, trust_domain=trust_domain, ingress=ingress, backend_ca=backend_ca)
    rules = policy_in(chosen(policy, settings), services)
    files = exported(to, rules, who_may_call(services), cluster, ambient=ambient)
    if output is None:
        click.echo(text_of([resource for resources in files.values() for resource in resources]), nl=False)
        return
    output.mkdir(parents=True, exist_ok=True)
    for name, resources in files.items():
        (output / f"{name}.yaml").write_text(text_of(resources), encoding="utf-8")
        print_line(f"wrote {output / name}.yaml: {len(resources)} resources")


def _require_of(target: MeshTarget, only: MeshTarget, options: dict[str, object]) -> None:
    for name, value in options.items():
        if value and target is not only:
            raise click.UsageError(f"{name} is for {only.value}, not for {target.value}")
