"""`souk mesh refuse` and `souk mesh admit`: shut a service or an instance out of the mesh, and let it in again."""

from pathlib import Path
from typing import Any

import click
from soukapi.v1 import mesh_pb2 as pb
from soukapi.v1 import mesh_pb2_grpc

from souk.admin.parked_filter import user
from souk.cli.commands.mesh.operating import PATIENCE, operate_mesh, warn_late
from souk.cli.group import example
from souk.cli.operating import DATA


class WorkloadName(click.ParamType[tuple[str, str]]):
    """The type of an argument SERVICE or SERVICE/INSTANCE."""

    name = "service[/instance]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Parses the text of an argument, as click calls it."""
        if isinstance(value, tuple):
            return value
        service, slash, instance = str(value).partition("/")
        if not service or (slash and not instance) or "/" in instance:
            self.fail(f"{value!r} must read SERVICE or SERVICE/INSTANCE", param, ctx)
        return service, instance


@click.command(
    epilog=example(
        """
souk mesh refuse payment/payment-2 --why 'its host was broken into'
souk mesh refuse payment --why 'keys leaked'      all its instances
souk mesh status                                  who is refused
"""
    )
)
@click.argument("workload", type=WorkloadName(), metavar="SERVICE[/INSTANCE]")
@click.option("--why", required=True, help="The reason, for other operators.")
@DATA
def refuse(workload: tuple[str, str], why: str, data: Path | None) -> int:
    """Shuts a service, or one instance of it, out of the mesh until it is admitted.

    It gets no certificate any more, and all others deny its calls at once, although its last certificate is still
    valid. It stays so over restarts.
    """
    service, instance = workload

    async def ask(mesh: "mesh_pb2_grpc.MeshAsyncStub") -> pb.RefuseWorkloadResponse:
        request = pb.RefuseWorkloadRequest(service=service, instance=instance, why=why, operator=user())
        return await mesh.RefuseWorkload(request, timeout=PATIENCE)

    late = operate_mesh(data, ask).waiting
    click.echo(f"{instance or service} is refused; `souk mesh admit {'/'.join(filter(None, workload))}` ends that")
    return warn_late(late)


@click.command(epilog=example("souk mesh admit payment/payment-2\nsouk mesh admit payment"))
@click.argument("workload", type=WorkloadName(), metavar="SERVICE[/INSTANCE]")
@DATA
def admit(workload: tuple[str, str], data: Path | None) -> int:
    """Lets a service or an instance that was refused into the mesh again."""
    service, instance = workload

    async def ask(mesh: "mesh_pb2_grpc.MeshAsyncStub") -> pb.AdmitWorkloadResponse:
        request = pb.AdmitWorkloadRequest(service=service, instance=instance, operator=user())
        return await mesh.AdmitWorkload(request, timeout=PATIENCE)

    late = operate_mesh(data, ask).waiting
    click.echo(f"{instance or service} is admitted again")
    return warn_late(late)
