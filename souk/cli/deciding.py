"""What the commands about parked events have in common: their options, and how they ask before they change anything."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from souk.admin.parked import ParkedEvent, Parking, parking
from souk.admin.parked_filter import seconds_of
from souk.kernel.clock import SystemClock, to_datetime
from souk.runtime.config import entry_points
from souk.runtime.config.environment import from_environment

_C = TypeVar("_C", bound=Callable[..., Any])
DATA = click.option(
    "--data", type=click.Path(path_type=Path), help="The data directory of the system [default: var/souk]"
)
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document.")
YES = click.option("--yes", is_flag=True, help="Does not ask: for scripts.")
CONSUMER = click.option("--consumer", default="", metavar="SERVICE/NAME", help="For this consumer alone.")


class _Age(click.ParamType[float]):
    """The type of an option such as 90s, 10m, 2h or 7d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parses the text of an option, as click calls it."""
        seconds = seconds_of(str(value))
        if seconds is None:
            self.fail(f"{value!r} must read like 90s, 10m, 2h or 7d", param, ctx)
        return seconds


AGE = _Age()


def filters(command: _C) -> _C:
    """Adds the options that choose among parked events; they are the fields of ParkedFilter."""
    for option in (
        click.option("--older", type=AGE, default="0s", metavar="TIME", help="Parked for longer, such as 2h."),
        click.option("--reason", "why_parked", default="", metavar="TEXT", help="With this text in its reason."),
        click.option("--type", "type_name", default="", help="Of this type: its full name, or the end of it."),
        click.option("--consumer", default="", metavar="SERVICE/NAME", help="Parked for this consumer."),
        click.option("--service", default="", help="Published by this service."),
    ):
        command = option(command)
    return command


def with_parking(data: Path | None, work: Callable[[Parking], Any]) -> Any:
    """Runs `work` with what is parked in the system on a data directory; returns its result."""
    settings = from_environment({"data": data})

    async def run() -> Any:
        services = entry_points.loadable_services()
        async with parking(settings.data, settings.topology, services, SystemClock()) as lot:
            return await work(lot)

    return asyncio.run(run())


def known(event_id: str, found: Sequence[Any]) -> list[Any]:
    """Returns what was found of a parked event. Raises ClickException for none."""
    if not found:
        raise click.ClickException(f"no such event is parked: {event_id}; `souk events parked` lists what is")
    return list(found)


def confirm(what: str, chosen: Sequence[ParkedEvent], yes: bool) -> None:
    """Shows the events that are chosen and asks, unless `yes`. Raises ClickException without a terminal."""
    if yes:
        return
    for one in chosen:
        click.echo(line(one))
    if not sys.stdin.isatty():
        raise click.ClickException("nothing was changed: no terminal is there to ask; use --yes")
    click.confirm(f"{what} {len(chosen)}?", abort=True)


def when(lot: Parking) -> str:
    """Says when what was decided takes effect."""
    return "" if lot.at_work else " when the system next runs"


def line(one: ParkedEvent) -> str:
    """Returns one line about a parked event."""
    what = f"{one.type} {one.key} for {one.consumer}, {one.tries} tries, since {time_of(one.since)}"
    return f"{one.id}  {one.service}: {what}"


def time_of(at: int) -> str:
    """Returns a time, given in microseconds since 1970, as in RFC 3339."""
    return to_datetime(at).strftime("%Y-%m-%dT%H:%M:%SZ")
