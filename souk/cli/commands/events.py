"""`souk events`: what operators see of events that a consumer could not handle, and what they decide about them."""

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from souk.admin.parked import Discarded, ParkedEvent, Parking, parking
from souk.admin.parked_filter import ParkedFilter, filtered, seconds_of, shown, user
from souk.cli.group import example
from souk.events.parked_store import ParkedDecision
from souk.kernel.clock import SystemClock, to_datetime
from souk.runtime.config import entry_points
from souk.runtime.config.environment import from_environment

_C = TypeVar("_C", bound=Callable[..., Any])
_DATA = click.option(
    "--data", type=click.Path(path_type=Path), help="The data directory of the system [default: var/souk]"
)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document.")
_YES = click.option("--yes", is_flag=True, help="Does not ask: for scripts.")


class _Age(click.ParamType[float]):
    """The type of an option such as 90s, 10m, 2h or 7d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parses the text of an option, as click calls it."""
        seconds = seconds_of(str(value))
        if seconds is None:
            self.fail(f"{value!r} must read like 90s, 10m, 2h or 7d", param, ctx)
        return seconds


def _filters(command: _C) -> _C:
    for option in (
        click.option("--older", type=_Age(), default="0s", metavar="TIME", help="Parked for longer, such as 2h."),
        click.option("--reason", "why_parked", default="", metavar="TEXT", help="With this text in its reason."),
        click.option("--type", "type_name", default="", help="Of this type: its full name, or the end of it."),
        click.option("--consumer", default="", metavar="SERVICE/NAME", help="Parked for this consumer."),
        click.option("--service", default="", help="Published by this service."),
    ):
        command = option(command)
    return command


@click.group(
    epilog=example(
        """
souk events parked                              what is parked, by cause
souk events show EVT-01JD2T8Q3M
souk events replay EVT-01JD2T8Q3M
souk events discard EVT-01JD2T8Q3M --reason "the order was a test"
"""
    )
)
def events() -> None:
    """Lists events that a consumer could not handle, and carries out what you decide about them.

    Everything that is decided is kept, with who and why. As with `souk parked`, a fleet must be running, and a system
    of one process stopped, unless its data is in PostgreSQL.
    """


@events.command(
    epilog=example(
        """
souk events parked --consumer notification/order-mails
souk events parked --older 2h --json | jq '.[].digest'
"""
    )
)
@_filters
@_DATA
@_JSON
def parked(data: Path | None, as_json: bool, **wanted: Any) -> None:
    """Lists the parked events, those with one cause together."""
    found = _with(data, lambda lot: _found(lot, wanted))
    if as_json:
        click.echo(json.dumps([{**asdict(one), "since": _time(one.since)} for one in found], indent=2))
        return
    causes: dict[str, list[ParkedEvent]] = {}
    for one in found:
        causes.setdefault(one.digest or one.reason, []).append(one)
    for those in causes.values():
        click.echo(_cause(those))
        for one in those:
            click.echo(f"  {_line(one)}")
    if not found:
        click.echo("no event is parked")


@events.command(epilog=example("souk events show EVT-01JD2T8Q3M | jq .payload"))
@click.argument("event_id", metavar="ID")
@_DATA
def show(event_id: str, data: Path | None) -> None:
    """Shows a parked event as JSON: its payload by its contract, and why it is parked for each consumer."""

    async def work(lot: Parking) -> dict[str, Any]:
        return shown(_known(event_id, await lot.event(event_id)))

    click.echo(json.dumps(_with(data, work), indent=2, ensure_ascii=False))


@events.command(
    epilog=example(
        """
souk events replay EVT-01JD2T8Q3M --consumer notification/order-mails
souk events replay --all --type OrderConfirmed --yes
"""
    )
)
@click.argument("event_id", metavar="[ID]", default="")
@click.option("--all", "everything", is_flag=True, help="All parked events that the other options choose.")
@_filters
@_YES
@_DATA
def replay(event_id: str, everything: bool, yes: bool, data: Path | None, **wanted: Any) -> None:
    """Sends parked events again, to the consumers that parked them alone.

    Fix the cause first; otherwise they are parked again.
    """
    if everything == bool(event_id):
        raise click.UsageError("Name the event to replay, or use --all.")

    async def work(lot: Parking) -> str:
        chosen = await _chosen(lot, event_id, wanted)
        if not chosen:
            return "no event is parked"
        _confirm("send again", chosen, yes)
        await lot.replay(chosen, ParkedDecision(user(), "souk events replay"))
        return f"{len(chosen)} will be sent again" + ("" if lot.at_work else " when the system next runs")

    click.echo(_with(data, work))


@events.command(epilog=example('souk events discard EVT-01JD2T8Q3M --reason "the order was a test" --yes'))
@click.argument("event_id", metavar="ID")
@click.option("--reason", required=True, metavar="TEXT", help="The cause of the decision; it is kept.")
@click.option("--consumer", default="", metavar="SERVICE/NAME", help="For this consumer alone.")
@_YES
@_DATA
def discard(event_id: str, reason: str, consumer: str, yes: bool, data: Path | None) -> None:
    """Decides that a consumer shall never get a parked event. The event is kept, with who and why."""
    if not reason.strip():
        raise click.UsageError("--reason is empty; it must give the cause, which is kept.")

    async def work(lot: Parking) -> str:
        chosen = await _chosen(lot, event_id, {"consumer": consumer})
        _confirm("discard", chosen, yes)
        await lot.discard(chosen, ParkedDecision(user(), reason))
        return f"{len(chosen)} discarded; `souk events discarded` lists what was"

    click.echo(_with(data, work))


@events.command(epilog=example("souk events discarded --json"))
@_DATA
@_JSON
def discarded(data: Path | None, as_json: bool) -> None:
    """Lists the events that were discarded, with who and why, the oldest first."""
    found = _with(data, lambda lot: lot.discarded())
    if as_json:
        click.echo(json.dumps([{**asdict(one), "at": _time(one.at)} for one in found], indent=2))
        return
    for one in found:
        click.echo(_discarded_line(one))
    if not found:
        click.echo("no event was discarded")


def _with(data: Path | None, work: Callable[[Parking], Any]) -> Any:
    settings = from_environment({"data": data})

    async def run() -> Any:
        services = entry_points.loadable_services()
        async with parking(settings.data, settings.topology, services, SystemClock()) as lot:
            return await work(lot)

    return asyncio.run(run())


async def _found(lot: Parking, wanted: dict[str, Any]) -> list[ParkedEvent]:
    return filtered(await lot.events(), ParkedFilter(**wanted), SystemClock())


async def _chosen(lot: Parking, event_id: str, wanted: dict[str, Any]) -> list[ParkedEvent]:
    found = await _found(lot, wanted)
    return _known(event_id, [one for one in found if one.id == event_id]) if event_id else found


def _known(event_id: str, found: Sequence[Any]) -> list[Any]:
    if not found:
        raise click.ClickException(f"no such event is parked: {event_id}; `souk events parked` lists what is")
    return list(found)


def _confirm(what: str, chosen: Sequence[ParkedEvent], yes: bool) -> None:
    if yes:
        return
    for one in chosen:
        click.echo(_line(one))
    if not sys.stdin.isatty():
        raise click.ClickException("nothing was changed: no terminal is there to ask; use --yes")
    click.confirm(f"{what} {len(chosen)}?", abort=True)


def _cause(those: Sequence[ParkedEvent]) -> str:
    first = those[0]
    where = f" at {first.location}" if first.location else ""
    return f"{first.digest or '-'}  {len(those)}{where}: {first.reason}"


def _line(one: ParkedEvent) -> str:
    what = f"{one.type} {one.key} for {one.consumer}, {one.tries} tries, since {_time(one.since)}"
    return f"{one.id}  {one.service}: {what}"


def _discarded_line(one: Discarded) -> str:
    return f"{one.id}  {one.service}: {one.type} for {one.consumer}, by {one.by} at {_time(one.at)}: {one.why}"


def _time(at: int) -> str:
    return to_datetime(at).strftime("%Y-%m-%dT%H:%M:%SZ")
