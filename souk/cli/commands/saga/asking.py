"""What the commands about sagas have in common: the options that choose runs, and how they ask the system."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from google.protobuf.json_format import MessageToDict
from soukapi.v1 import sagas_pb2 as pb

from souk.admin.servicers.sagas import ref_of
from souk.cli.commands.saga.desk import SagaDesk, saga_desk
from souk.cli.deciding import AGE
from souk.kernel.clock import SystemClock
from souk.kernel.errors import InvalidArgument
from souk.runtime.config import entry_points
from souk.runtime.config.environment import from_environment
from souk.saga.operator.run_filter import STATES

FAILED = 1
T = TypeVar("T")
_C = TypeVar("_C", bound=Callable[..., Any])
_FILTERS = ("state", "service", "saga", "step", "reason", "text", "older")


def filters(command: _C) -> _C:
    """Adds the options that choose runs; `chosen` reads them."""
    for option in (
        click.option("--older", type=AGE, default="0s", metavar="TIME", help="That began longer ago, such as 2h."),
        click.option("--text", default="", help="With this in the subject, the user, or the text of the refusal."),
        click.option("--reason", default="", metavar="TEXT", help="With this text in a reason: of the run or a step."),
        click.option("--step", default="", help="That stand at this step, forward or back."),
        click.option("--saga", default="", help="Of this saga."),
        click.option("--service", default="", help="Of this service."),
        click.option("--state", type=click.Choice(list(STATES)), default=None, help="In this state."),
    ):
        command = option(command)
    return command


def chosen(ids: Sequence[str], wanted: dict[str, Any], *, state: str) -> pb.ListSagaRunsRequest:
    """Makes the request for the runs that are meant; `state` is meant if none is given. Raises UsageError."""
    for run_id in ids:
        try:
            ref_of(run_id)
        except InvalidArgument as error:
            raise click.UsageError(error.violations[0].detail) from error
    values = {name: value for name in _FILTERS if (value := wanted.get(name))}
    values.setdefault("state", "all" if ids else state)
    return pb.ListSagaRunsRequest(ids=ids, **values)


def ask(data: Path | None, work: Callable[[SagaDesk], Awaitable[T]]) -> T:
    """Runs `work` at the desk of the system on a data directory; returns its result."""
    settings = from_environment({"data": data})

    async def run() -> T:
        services = entry_points.loadable_services()
        async with saga_desk(settings.data, settings.topology, services, SystemClock()) as desk:
            return await work(desk)

    return asyncio.run(run())


def warn_silent(found: pb.ListSagaRunsResponse) -> int:
    """Names what is missing in a list; returns the exit status."""
    if found.more:
        click.echo("souk: there are more; choose fewer by a filter", err=True)
    for service in found.silent:
        click.echo(f"souk: {service} does not answer", err=True)
    return FAILED if found.silent else 0


def line(run: pb.SagaRun) -> str:
    """Returns one line about a run."""
    last = next((step for step in reversed(run.steps) if step.state not in _PAST), None)
    at = f", {last.state.replace('_', ' ')} {last.name!r}" if last else ""
    why = run.reason or (last.note if last else "")
    begun = run.started_at.ToDatetime().strftime("%Y-%m-%dT%H:%M:%SZ")
    version = f" version {run.version}" if run.version > 1 else ""
    return f"{run.id}  {run.service}: {run.state}{at}{version}, since {begun}{': ' if why else ''}{why}"


_PAST = frozenset({"done", "refused", "not_sent", "undone"})


def echo_json(document: Any) -> None:
    """Prints one JSON document."""
    click.echo(json.dumps(document, indent=2))


def as_document(message: Any) -> dict[str, Any]:
    """Gives a message as JSON, with the names of its contract, and all of its fields."""
    document: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return document
