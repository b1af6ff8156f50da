"""`souk saga list` and `souk saga show`."""

from pathlib import Path
from typing import Any

import click
from soukapi.v1 import sagas_pb2 as pb

from souk.cli.commands.saga.asking import as_document, ask, chosen, echo_json, filters, line, warn_silent
from souk.cli.commands.saga.desk import SagaDesk
from souk.cli.group import example
from souk.cli.operating import DATA


@click.command(
    "list",
    short_help="Lists runs of sagas.",
    epilog=example(
        """
souk saga list                              all that have not ended
souk saga list --state stuck                parked, paused, or beyond their deadline
souk saga list --step "charge payment" --older 10m
souk saga list --state ended --text ORD-01JD2T8Q3M --json
"""
    ),
)
@filters
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="Of each service at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@DATA
def list_runs(data: Path | None, as_json: bool, limit: int, **wanted: Any) -> int:
    """Lists runs of sagas, the oldest first.

    States are `open` (all that have not ended), `running` (before the pivot), `going back`, `committed` (past the
    pivot, and only forward), `waiting` (for a message, or for a time), `parked` and `paused` (they wait for an
    operator), `stuck` (a look is needed), `ended` and `all`.
    """
    request = chosen((), wanted, state="open")
    request.limit = limit
    found = ask(data, lambda desk: desk.runs(request))
    if as_json:
        echo_json([as_document(run) for run in found.runs])
    else:
        for run in found.runs:
            click.echo(line(run))
        if not found.runs:
            click.echo("no such run")
    return warn_silent(found)


@click.command(
    short_help="Shows a run, its steps, and what operators did.",
    epilog=example(
        """
souk saga show place-order:ORD-01JD2T8Q3M:1
souk saga show place-order:ORD-01JD2T8Q3M:1 --json
"""
    ),
)
@click.argument("run_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@DATA
def show(run_id: str, data: Path | None, as_json: bool) -> int:
    """Shows one run: where it stands, its steps with their tries, what it waits for and until when, the messages that
    came for it, and what operators did with it, and why."""
    request = chosen((run_id,), {}, state="all")

    async def work(desk: SagaDesk) -> tuple[pb.ListSagaRunsResponse, pb.ListSagaActionsResponse]:
        found = await desk.runs(request)
        if not found.runs:
            return found, pb.ListSagaActionsResponse()
        run = found.runs[0]
        asked = pb.ListSagaActionsRequest(service=run.service, subject=run.subject)
        return found, await desk.actions(asked)

    found, acted = ask(data, work)
    if not found.runs:
        raise click.ClickException(f"there is no run {run_id}; `souk saga list --state all` lists them")
    actions = [one for one in acted.actions if one.id == run_id]
    messages = [one for one in acted.messages if one.id == run_id]
    if as_json:
        besides = {"actions": [as_document(one) for one in actions], "messages": [as_document(one) for one in messages]}
        echo_json(as_document(found.runs[0]) | besides)
        return warn_silent(found)
    _print(found.runs[0])
    if messages:
        click.echo("messages:")
    for came in messages:
        click.echo(f"  {_time(came.received_at)}  {came.message} {came.key}: {came.fate} ({came.message_id})")
    if actions:
        click.echo("operators:")
    for one in actions:
        step = f" {one.step!r}" if one.step else ""
        click.echo(f"  {_time(one.at)}  {one.operator}: {one.action}{step}: {one.why}")
    return warn_silent(found)


def _print(run: pb.SagaRun) -> None:
    click.echo(line(run))
    facts = {
        "version": f"{run.version}{f' ({run.fingerprint})' if run.fingerprint else ''}",
        "for the user": run.on_behalf_of,
        "refused": f"{run.refused_step!r}: {run.reason} {run.detail}".rstrip() if run.refused_step else "",
        "deadline": _time(run.deadline_at),
        "driven by": run.owner,
        "trace": run.traceparent,
        "to be done": "what an operator asked" if run.asked else "",
    }
    for name, value in facts.items():
        if value:
            click.echo(f"  {name}: {value}")
    click.echo("steps:")
    for step in run.steps:
        tries = f", {step.tries} {'try' if step.tries == 1 else 'tries'}" if step.tries else ""
        note = f": {step.note}" if step.note else ""
        state = _awaiting(step) or step.state.replace("_", " ")
        click.echo(f"  {_time(step.changed_at)}  {step.name}: {state}{tries}{note}")


def _awaiting(step: pb.SagaRunStep) -> str:
    """Returns what a step waits for, and until when; empty for a step that does not wait."""
    if not step.HasField("until"):
        return ""
    return f"waits {f'for {step.message} {step.key} ' if step.message else ''}until {_time(step.until)}"


def _time(at: Any) -> str:
    return str(at.ToDatetime().strftime("%Y-%m-%dT%H:%M:%SZ"))
