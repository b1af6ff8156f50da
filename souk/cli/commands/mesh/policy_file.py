"""Which policy file the commands read: one that is named, that of the settings, or contracts/mesh.yaml."""

from collections.abc import Sequence
from pathlib import Path

import click

from souk.mesh.policy.policy import MeshPolicy
from souk.mesh.policy.reading import DEFAULT_FILE, default_policy, load_policy, policy_path
from souk.runtime.config.settings import Settings
from souk.runtime.service import Service

POLICY = click.option(
    "--policy",
    type=click.Path(path_type=Path),
    help=f"The policy file [default: SOUK_MESH_POLICY, or {DEFAULT_FILE} if it exists]",
)


def chosen(named: Path | None, settings: Settings) -> Path | None:
    """Returns the file to read; None for the defaults."""
    return named or policy_path(settings.calls.mesh_policy)


def policy_in(path: Path | None, services: Sequence[Service]) -> MeshPolicy:
    """Reads a policy, or gives the defaults. Raises MeshPolicyRefused with everything that is wrong."""
    return default_policy(services) if path is None else load_policy(path, services)
