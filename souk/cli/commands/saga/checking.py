"""`souk saga check`: would a deploy of this code strand open runs?"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
from soukapi.v1 import sagas_pb2 as pb

from souk.cli.commands.saga.asking import FAILED, ask, echo_json, warn_silent
from souk.cli.commands.saga.desk import SagaDesk
from souk.cli.group import example
from souk.cli.operating import DATA
from souk.hosting.saga_versions import saga_versions
from souk.kernel.clock import SystemClock
from souk.runtime.config import entry_points
from souk.saga.versions import SagaVersion, SagaVersions


@click.command(
    short_help="Compares the definitions of this code with open runs.",
    epilog=example(
        """
souk saga check --data /var/lib/souk        before a deploy, with the new code
souk saga check --json | jq '.stranded[].id'
"""
    ),
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@DATA
def check(data: Path | None, as_json: bool) -> int:
    """Compares the definitions of sagas in this code with the open runs of a system, and changes nothing.

    Run it with the new code before a deploy. It lists the runs that the new code could not end, and why; the exit
    status is 1 if there are any. The system may run, or not.
    """
    services = [one for one in entry_points.loadable_services() if one.migrations is not None]
    versions = asyncio.run(saga_versions(services, SystemClock()))
    found = ask(data, partial(compare, versions=versions))
    if as_json:
        runs = [_document(run, why) for run, why in found.stranded]
        echo_json({"open": len(found.response.runs), "stranded": runs, "silent": list(found.response.silent)})
    else:
        _print(len(found.response.runs), found.stranded)
    return FAILED if warn_silent(found.response) or found.stranded or found.response.more else 0


@dataclass(frozen=True, slots=True)
class DefinitionCheck:
    """The open runs of a system, and those of them that the code could not end, each with the reason."""

    response: pb.ListSagaRunsResponse
    stranded: list[tuple[pb.SagaRun, str]]


async def compare(desk: SagaDesk, versions: Mapping[str, SagaVersions]) -> DefinitionCheck:
    """Compares the definitions of services, by name, with the open runs."""
    found = await desk.runs(pb.ListSagaRunsRequest(state="open"))
    return DefinitionCheck(found, [(run, why) for run in found.runs if (why := _why(run, versions))])


def _why(run: pb.SagaRun, versions: Mapping[str, SagaVersions]) -> str:
    if run.service not in versions:
        return f"this code has no service {run.service!r} with sagas"
    begun = SagaVersion(run.saga, run.version, run.fingerprint)
    return versions[run.service].why_stranded(begun, [step.name for step in run.steps])


def _document(run: pb.SagaRun, why: str) -> dict[str, Any]:
    values = ("id", "service", "saga", "version", "fingerprint", "state")
    return {name: getattr(run, name) for name in values} | {"why": why}


def _print(count: int, stranded: list[tuple[pb.SagaRun, str]]) -> None:
    by_why: dict[tuple[str, str], list[pb.SagaRun]] = {}
    for run, why in stranded:
        by_why.setdefault((run.service, why), []).append(run)
    for (service, why), runs in by_why.items():
        click.echo(f"{service}: {len(runs)} would be stranded: {why}")
        for run in runs:
            click.echo(f"  {run.id}  {run.state}")
    noun = "1 open run" if count == 1 else f"{count} open runs"
    click.echo(f"{noun}: {f'{len(stranded)} would be stranded' if stranded else 'this code can end them all'}")
