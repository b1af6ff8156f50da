"""The group of commands `souk mesh`."""

import click

from souk.cli.commands.mesh.admission import admit, refuse
from souk.cli.commands.mesh.check import check
from souk.cli.commands.mesh.export import export
from souk.cli.commands.mesh.reload import reload
from souk.cli.commands.mesh.rotate_root import rotate_root
from souk.cli.commands.mesh.status import status
from souk.cli.commands.mesh.who_may_call import who_may_call
from souk.cli.group import example


@click.group(
    epilog=example(
        """
souk mesh who-may-call payment
souk mesh check contracts/mesh.yaml
souk mesh export istio --policy deploy/mesh/istio.yaml --output shop
souk mesh status
souk mesh reload
"""
    )
)
def mesh() -> None:
    """Shows who may call whom, checks the mesh's policy file, exports both to other meshes, and operates the mesh of a
    running fleet."""


for command in (who_may_call, check, export, status, reload, rotate_root, refuse, admit):
    mesh.add_command(command)
