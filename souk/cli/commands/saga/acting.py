"""`souk saga retry`, `compensate`, `resolve`, `pause` and `resume`: they show what would be done, and ask first."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
from soukapi.v1 import sagas_pb2 as pb

from souk.admin.parked_filter import user
from souk.cli.commands.saga.asking import FAILED, as_document, ask, chosen, echo_json, filters, warn_silent
from souk.cli.commands.saga.desk import SagaDesk
from souk.cli.deciding import YES
from souk.cli.group import example
from souk.cli.operating import DATA
from souk.saga.operator.actions import RunAction

_HELP = {
    RunAction.RETRY: """Tries parked steps again, with their tries counted from zero. Fix the cause first.""",
    RunAction.COMPENSATE: """Turns runs back that are before their pivot: what was done is undone, and they end as
    rejected. A call that is under way is undone as well.""",
    RunAction.RESOLVE: """Takes a parked step as done, or a parked undo as undone, because you have seen to it by hand.
    Nobody is called. A step that waits counts as done, without its message or before its time. Without --only, every
    such step of a run.""",
    RunAction.PAUSE: """Keeps runs from being driven until they are resumed. A call that is under way may still take
    effect; it is asked again later. The deadline of a run waits, too.""",
    RunAction.RESUME: """Lets paused runs go on.""",
}
_STATE = {
    RunAction.RETRY: "parked",
    RunAction.COMPENSATE: "running",
    RunAction.RESOLVE: "parked",
    RunAction.PAUSE: "open",
    RunAction.RESUME: "paused",
}
"""The state of the runs that are meant, unless one is given."""


def command(action: RunAction) -> click.Command:
    """Makes the command of one action."""

    def run(
        ids: tuple[str, ...], data: Path | None, why: str, yes: bool, as_json: bool, only: str = "", **wanted: Any
    ) -> int:
        if not ids and not any(wanted.values()):
            raise click.UsageError("Name runs, or choose them by a filter, such as --state parked.")
        request = pb.ActOnSagaRunsRequest(action=action.value, step=only, operator=user(), why=why)
        listing = chosen(ids, wanted, state=_STATE[action])
        return ask(data, partial(_act, request=request, listing=listing, yes=yes, as_json=as_json))

    made: Callable[..., Any] = filters(run)
    if action is RunAction.RESOLVE:
        made = click.option("--only", default="", metavar="STEP", help="Only this step of each run.")(made)
    made = click.option("--json", "as_json", is_flag=True, help="One JSON document; asks nothing.")(made)
    made = YES(made)
    made = click.option("--why", required=True, metavar="TEXT", help="Why: it is recorded with the run.")(made)
    made = DATA(click.argument("ids", metavar="[ID]...", nargs=-1)(made))
    text = " ".join(_HELP[action].split())
    shown = f"""
souk saga {action.value} place-order:ORD-01JD2T8Q3M:1 --why "ticket 4711"
souk saga {action.value} --older 10m --text ORD-01JD --why "ticket 4711" --yes
"""
    help_text = f"{text}\n\nShows what would be done, and asks. Who did it, and why, is recorded with the run."
    short = text.partition(".")[0].partition(":")[0].partition(",")[0] + "."
    return click.command(action.value, help=help_text, short_help=short, epilog=example(shown))(made)


async def _act(
    desk: SagaDesk,
    request: pb.ActOnSagaRunsRequest,
    listing: pb.ListSagaRunsRequest,
    yes: bool,
    as_json: bool,
) -> int:
    found = await desk.runs(listing)
    missing = sorted(set(listing.ids) - {run.id for run in found.runs})
    if missing:
        raise click.ClickException(f"there is no such run, or it is in another state: {missing[0]}")
    if status := warn_silent(found):
        return status
    request.ids[:] = [run.id for run in found.runs]
    if not (yes or as_json) and not await _confirmed(desk, request):
        return 0
    done = await desk.act(request)
    if as_json:
        echo_json([as_document(one) for one in done.effects])
    else:
        _print(done.effects, at_work=desk.at_work)
    return FAILED if any(one.refused for one in done.effects) else 0


async def _confirmed(desk: SagaDesk, request: pb.ActOnSagaRunsRequest) -> bool:
    """Shows what would be done, and asks; returns whether there is anything to do. Raises Abort."""
    preview = pb.ActOnSagaRunsRequest()
    preview.CopyFrom(request)
    preview.preview = True
    effects = (await desk.act(preview)).effects
    for one in effects:
        click.echo(f"{one.id}  {one.text}")
    count = sum(one.changed for one in effects)
    if not count:
        click.echo("nothing to do")
        return False
    if not sys.stdin.isatty():
        raise click.ClickException("nothing was changed: no terminal is there to ask; use --yes")
    click.confirm(f"{request.action} {count}?", abort=True)
    return True


def _print(effects: Sequence[pb.SagaRunEffect], *, at_work: bool) -> None:
    for one in effects:
        click.echo(f"{one.id}  {one.text}")
    count = sum(one.changed for one in effects)
    when = "" if at_work or not count else ", as soon as the system runs"
    click.echo(f"{count} changed{when}")
