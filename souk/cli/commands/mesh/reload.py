"""`souk mesh reload`: has the control plane read its policy file again."""

from pathlib import Path

import click
from soukapi.v1 import mesh_pb2 as pb
from soukapi.v1 import mesh_pb2_grpc

from souk.admin.parked_filter import user
from souk.cli.commands.mesh.operating import FAILED, PATIENCE, operate_mesh, rejection_line, warn_late
from souk.cli.group import example
from souk.cli.operating import DATA


@click.command(
    epilog=example(
        """
souk mesh check contracts/mesh.yaml       first see whether it is right
souk mesh reload
"""
    )
)
@DATA
def reload(data: Path | None) -> int:
    """Has the running fleet read its policy file again, that of SOUK_MESH_POLICY, and apply it.

    No process is started again, and no call fails. If the file is wrong, everything that is wrong with it is
    printed, and nothing changes. If a sidecar rejects what it gets, that is printed, and all sidecars go back to the
    former policy. The exit status is 1 then.
    """

    async def ask(mesh: "mesh_pb2_grpc.MeshAsyncStub") -> pb.ReloadMeshPolicyResponse:
        return await mesh.ReloadMeshPolicy(pb.ReloadMeshPolicyRequest(operator=user()), timeout=PATIENCE)

    found = operate_mesh(data, ask)
    for line in (*found.errors, *map(rejection_line, found.rejected)):
        click.echo(line, err=True)
    if found.errors or found.rejected:
        click.echo(f"souk: nothing has changed: the former policy stays in force ({found.revision})", err=True)
        return FAILED
    if not found.changed:
        click.echo(f"{found.file} says what is in force already: policy {found.revision}")
        return 0
    click.echo(f"policy {found.revision} is in force: {len(found.taken)} sidecars have taken {found.file}")
    return warn_late(found.waiting)
