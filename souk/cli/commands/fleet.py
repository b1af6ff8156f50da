"""Commands that change a running fleet."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import click
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.admin.process_status import STOPPED
from souk.cli.group import example
from souk.cli.operating import DATA, LONG, PATIENCE, operate
from souk.cli.output.terminal import print_line
from souk.kernel.whole_numbers import whole_number
from souk.supervisor.capacity import MOST_REPLICAS

_Fleet: TypeAlias = "fleet_pb2_grpc.FleetAsyncStub"
_ROLLED = (fleet_pb2.PROCESS_KIND_SERVICE, fleet_pb2.PROCESS_KIND_GATEWAY)
RESTART_LIMIT = 600.0


class Count(click.ParamType[tuple[str, int]]):
    """The type of an argument SERVICE=N."""

    name = "service=n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Parses the text of an argument, as click calls it."""
        if isinstance(value, tuple):
            return value
        service, equals, count = str(value).partition("=")
        number = whole_number(count, MOST_REPLICAS)
        if not (service and equals and number):
            self.fail(f"{value!r} must read SERVICE=N, N from 1 to {MOST_REPLICAS}, as in order=3", param, ctx)
        return service, number


@click.command(
    epilog=example(
        """
souk scale order=3
souk scale order=3 inventory=2 gateway=2
"""
    )
)
@click.argument("counts", metavar="SERVICE=N...", nargs=-1, required=True, type=Count())
@DATA
def scale(counts: Sequence[tuple[str, int]], data: Path | None) -> None:
    """Sets how many processes services have, one service after the other.

    Returns once the new ones are ready, and the surplus ones have finished their work and stopped.
    """

    async def do(fleet: _Fleet) -> None:
        for service, replicas in counts:
            await fleet.ScaleService(fleet_pb2.ScaleServiceRequest(service=service, replicas=replicas), timeout=LONG)
            processes = f"{replicas} {'process' if replicas == 1 else 'processes'}"
            stopped = await _is_stopped(fleet, service)
            print_line(f"{service}: {processes}" + (f" once `souk start {service}` starts it" if stopped else ""))

    operate(data, do)


async def _is_stopped(fleet: _Fleet, service: str) -> bool:
    found = await fleet.ListProcesses(fleet_pb2.ListProcessesRequest(), timeout=PATIENCE)
    return {process.state for process in found.processes if process.service == service} == {STOPPED}


@click.command(
    epilog=example(
        """
souk restart order
souk restart order payment
souk restart --all
"""
    )
)
@click.argument("services", metavar="[SERVICE...]", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every service, and the gateway.")
@DATA
def restart(services: Sequence[str], everything: bool, data: Path | None) -> None:
    """Replaces the processes of services, one at a time, without a request being lost.

    A new process is ready before an old one drains. Ctrl-C stops this command, not the restart that is in progress.
    """
    if everything == bool(services):
        raise click.UsageError("Name services (`souk ps` lists them), or use --all.")

    async def do(fleet: _Fleet) -> None:
        for service in await _rolled(fleet) if everything else services:
            request = fleet_pb2.RestartServiceRequest(service=service)
            async for step in fleet.RestartService(request, timeout=RESTART_LIMIT):
                print_line(step.line)
            print_line(f"{service}: restarted")

    operate(data, do)


async def _rolled(fleet: _Fleet) -> list[str]:
    found = await fleet.ListProcesses(fleet_pb2.ListProcessesRequest(), timeout=PATIENCE)
    names = list(dict.fromkeys(process.service for process in found.processes if process.kind in _ROLLED))
    # A system of one process has none of these; asked to restart itself, it refuses and says what to do instead.
    return names or [process.service for process in found.processes]


@click.command(epilog=example("souk stop payment"))
@click.argument("services", metavar="SERVICE...", nargs=-1, required=True)
@DATA
def stop(services: Sequence[str], data: Path | None) -> None:
    """Stops every process of services, once running requests are finished. `souk start` starts them again."""

    async def do(fleet: _Fleet) -> None:
        for service in services:
            await fleet.StopService(fleet_pb2.StopServiceRequest(service=service), timeout=LONG)
            print_line(f"{service}: stopped; `souk start {service}` starts it again")

    operate(data, do)


@click.command(epilog=example("souk start payment"))
@click.argument("services", metavar="SERVICE...", nargs=-1, required=True)
@DATA
def start(services: Sequence[str], data: Path | None) -> None:
    """Starts services that were stopped.

    Each gets as many processes as before. Returns once they are ready.
    """

    async def do(fleet: _Fleet) -> None:
        for service in services:
            await fleet.StartService(fleet_pb2.StartServiceRequest(service=service), timeout=LONG)
            print_line(f"{service}: ready")

    operate(data, do)
