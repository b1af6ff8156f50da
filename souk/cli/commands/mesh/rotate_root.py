"""`souk mesh rotate-root`: begins a rotation of the root certificate."""

from pathlib import Path

import click
from soukapi.v1 import mesh_pb2 as pb
from soukapi.v1 import mesh_pb2_grpc

from souk.admin.parked_filter import user
from souk.cli.commands.mesh.operating import PATIENCE, operate_mesh
from souk.cli.group import example
from souk.cli.operating import DATA


@click.command(
    "rotate-root",
    epilog=example(
        """
souk mesh rotate-root
souk mesh status                          how far it is
"""
    ),
)
@DATA
def rotate_root(data: Path | None) -> None:
    """Begins to replace the root certificate of the running fleet, by overlap: no call fails.

    The next root is trusted everywhere first, then it signs, and the former one is dropped when no certificate of it
    can be alive. That takes some minutes, and goes on by itself, also over a restart. A second rotation is refused
    meanwhile.
    """

    async def ask(mesh: "mesh_pb2_grpc.MeshAsyncStub") -> pb.RotateMeshRootResponse:
        return await mesh.RotateMeshRoot(pb.RotateMeshRootRequest(operator=user()), timeout=PATIENCE)

    click.echo(f"the rotation has begun: {operate_mesh(data, ask).rotation}")
