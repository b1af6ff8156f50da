"""`souk mesh check`: whether a policy file is right."""

from pathlib import Path

import click

from souk.cli.commands.mesh.policy_file import chosen, policy_in
from souk.cli.group import example
from souk.mesh.policy.reading import default_policy
from souk.runtime.config import entry_points
from souk.runtime.config.environment import from_environment


@click.command(epilog=example("souk mesh check\nsouk mesh check deploy/mesh/istio.yaml"))
@click.argument("file", required=False, type=click.Path(path_type=Path))
def check(file: Path | None) -> None:
    """Says whether the policy FILE is right, and which services it changes.

    Without FILE it is that of SOUK_MESH_POLICY, or contracts/mesh.yaml.
    """
    settings = from_environment()
    services, path = entry_points.app(settings.app).services, chosen(file, settings)
    policy, defaults = policy_in(path, services), default_policy(services)
    changed = [name for name, rules in policy.services.items() if rules != defaults.services[name]]
    click.echo(f"{path or 'the default policy'} is right: it changes {', '.join(changed) or 'nothing'}")
