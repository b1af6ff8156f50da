"""`souk mesh who-may-call`: the callers of each method of a service, and why."""

import json
from pathlib import Path

import click
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.admin.client import runs
from souk.cli.group import example
from souk.cli.operating import DATA, PATIENCE, operate
from souk.cli.output.tables import show
from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import unknown
from souk.mesh.policy import who_may_call as rules
from souk.runtime.config import entry_points
from souk.runtime.config.environment import from_environment

COLUMNS = ("method", "caller", "why")


@click.command(
    "who-may-call",
    epilog=example(
        """
souk mesh who-may-call payment
souk mesh who-may-call order --json | jq '.[] | select(.caller == "payment")'
"""
    ),
)
@click.argument("service")
@DATA
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def who_may_call(service: str, data: Path | None, as_json: bool) -> None:
    """Lists who may call each method of SERVICE, and why.

    It follows from contracts, from what services subscribe to, and from the calls that they declare. Nobody else may.
    SERVICE can also be an application that has joined the running system.
    """
    settings = from_environment()
    app = entry_points.app(settings.app)
    methods = rules.who_may_call(app.services).services
    if service not in methods:
        joined = _joined(settings.data.directory if data is None else data)
        if service not in joined:
            raise ConfigurationError(unknown("service", service, [*methods, *joined]))
        methods = {service: rules.application_callers(service, app.services)}
    rows = [
        {"method": method.removeprefix("/"), "caller": caller, "why": why}
        for method, reasons in methods[service].items()
        for caller, why in (reasons or {"": "nobody: no service declares it"}).items()
    ]
    if as_json:
        click.echo(json.dumps([row for row in rows if row["caller"]], indent=2))
    else:
        show(COLUMNS, rows)


def _joined(data: Path) -> set[str]:
    """Gives the names of the applications that have joined the system on a data directory; none if no system runs."""

    async def ask(fleet: "fleet_pb2_grpc.FleetAsyncStub") -> fleet_pb2.ListProcessesResponse:
        return await fleet.ListProcesses(fleet_pb2.ListProcessesRequest(), timeout=PATIENCE)

    if not runs(data):
        return set()
    return {one.service for one in operate(data, ask).processes if one.HasField("application")}
