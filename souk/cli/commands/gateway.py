"""`souk gateway`: operates the gateways of the running system."""

from pathlib import Path

import click
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.cli.group import example
from souk.cli.operating import DATA, operate

FAILED = 1
_LONG = 40.0


@click.group(epilog=example("souk gateway reload"))
def gateway() -> None:
    """Operates the gateways of the running system."""


@gateway.command(epilog=example("souk gateway reload\nsouk gateway reload --data /var/lib/souk"))
@DATA
def reload(data: Path | None) -> int:
    """Has every gateway read its routes file again, without dropping a request.

    A file that is wrong changes nothing: what is wrong with it is printed, and the exit status is 1. A changed file is
    read without this command, too.
    """

    async def do(fleet: "fleet_pb2_grpc.FleetAsyncStub") -> fleet_pb2.ReloadRoutesResponse:
        return await fleet.ReloadRoutes(fleet_pb2.ReloadRoutesRequest(), timeout=_LONG)

    found = operate(data, do)
    refused = [load for load in found.loads if load.refused]
    for text in dict.fromkeys(load.refused for load in refused):
        click.echo(text, err=True)
    for load in refused:
        click.echo(f"souk: {load.process} keeps the routes that it had", err=True)
    for name in found.silent:
        click.echo(f"souk: {name} does not answer", err=True)
    for load in found.loads:
        if not load.refused:
            click.echo(f"{load.process}: {load.rules} rules of {load.file}")
    return FAILED if refused or found.silent else 0
