"""`souk parked`: lists what waits for an operator, and retries it."""

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from souk.admin.parked import Parked, ParkedStepView, Parking, parking
from souk.admin.parked_filter import user
from souk.cli.group import example
from souk.events.parked_store import ParkedDecision
from souk.kernel.clock import SystemClock, to_datetime
from souk.runtime.config import entry_points
from souk.runtime.config.environment import from_environment

_DATA = click.option(
    "--data", type=click.Path(path_type=Path), help="The data directory of the system [default: var/souk]"
)


@click.group(
    invoke_without_command=True,
    epilog=example(
        """
souk parked                     one line each: its id, where it stopped, why
souk parked --json | jq '.[].reason'
souk parked --data /var/lib/souk
souk parked retry --all         tries everything again
"""
    ),
)
@_DATA
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def parked(context: click.Context, data: Path | None, as_json: bool) -> None:
    """Lists what waits for an operator: steps of sagas, commits, and events that a consumer could not handle.

    A fleet must be running, because its PostgreSQL runs with it. A system of one process must be stopped first, unless
    its data is in PostgreSQL. While it runs, /metrics counts what is parked
    (souk_saga_runs, souk_outbox_events), and the log names it.
    """
    context.obj = data
    if context.invoked_subcommand is not None:
        return
    found = asyncio.run(_found(data))
    if as_json:
        click.echo(json.dumps([_document(one) for one in found], indent=2))
        return
    for one in found:
        click.echo(_line(one))
    if not found:
        click.echo("nothing is parked")


@parked.command(
    short_help="Retries what is parked.",
    epilog=example(
        """
souk parked retry EVT-01JD2T8Q3M
souk parked retry place-order:ORD-01JD2T8Q3M:1
souk parked retry --all --data /var/lib/souk
"""
    ),
)
@click.argument("ids", metavar="ID...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Everything that is parked.")
@_DATA
@click.pass_obj
def retry(before: Path | None, ids: tuple[str, ...], everything: bool, data: Path | None) -> None:
    """Retries parked steps and events: soon, or when the system next runs.

    Of a saga, all parked steps of the run; of an event, every consumer that parked it. Fix the cause first; otherwise
    they are parked again.
    """
    if everything == bool(ids):
        raise click.UsageError("Name what to retry, or use --all.")
    click.echo(asyncio.run(_retry(data or before, None if everything else set(ids))))


def _lot(data: Path | None) -> AbstractAsyncContextManager[Parking]:
    settings = from_environment({"data": data})
    return parking(settings.data, settings.topology, entry_points.loadable_services(), SystemClock())


async def _found(data: Path | None) -> list[Parked]:
    async with _lot(data) as lot:
        return await lot.all()


async def _retry(data: Path | None, ids: set[str] | None) -> str:
    async with _lot(data) as lot:
        found = await lot.all()
        if unknown := sorted((ids or set()) - {one.id for one in found}):
            raise click.ClickException(f"nothing parked has the id {unknown[0]}; `souk parked` lists what is")
        chosen = [one for one in found if ids is None or one.id in ids]
        await lot.retry(chosen, ParkedDecision(user(), "souk parked retry"))
        if not chosen:
            return "nothing is parked"
        return f"{len(chosen)} will be tried again" + ("" if lot.at_work else " when the system next runs")


def _since(one: Parked) -> str:
    return to_datetime(one.since).strftime("%Y-%m-%dT%H:%M:%SZ")


def _document(one: Parked) -> dict[str, Any]:
    kind = "step" if isinstance(one, ParkedStepView) else "event"
    return {"kind": kind, **asdict(one), "since": _since(one)}


def _line(one: Parked) -> str:
    if isinstance(one, ParkedStepView):
        what = f"{'undo of ' if one.undo else ''}{one.step!r}"
    else:
        what = f"{one.type} for {one.consumer}"
    tries = "1 try" if one.tries == 1 else f"{one.tries} tries"
    return f"{one.id}  {one.service}: {what}, {tries}, since {_since(one)}: {one.reason}"
