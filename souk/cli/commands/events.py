"""`souk events`: what operators see of events that a consumer could not handle, and what they decide about them."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from souk.admin.event_json import payload_from, payload_json, shown
from souk.admin.event_lag import ConsumerLag, at_broker
from souk.admin.parked import Discarded, ParkedEvent, Parking
from souk.admin.parked_filter import ParkedFilter, filtered, user
from souk.cli.deciding import CONSUMER, DATA, JSON, YES, confirm, filters, known, line, time_of, when, with_parking
from souk.cli.group import example
from souk.cli.output.tables import show as show_table
from souk.events.broker import BrokerUnavailable
from souk.events.parked_store import Parked, ParkedDecision
from souk.hosting.event_routing import EventRouting, elsewhere, subscriptions_of
from souk.kernel.clock import SystemClock
from souk.runtime.config import entry_points
from souk.runtime.config.environment import from_environment
from souk.runtime.data.events_broker import opened_broker


@click.group(
    epilog=example(
        """
souk events parked                              what is parked, by cause
souk events lag                                 which consumers are behind
souk events show EVT-01JD2T8Q3M
souk events replay EVT-01JD2T8Q3M
souk events edit EVT-01JD2T8Q3M --why "the amount had lost a digit"
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
@filters
@DATA
@JSON
def parked(data: Path | None, as_json: bool, **wanted: Any) -> None:
    """Lists the parked events, those with one cause together."""
    found = with_parking(data, lambda lot: _found(lot, wanted))
    if as_json:
        click.echo(json.dumps([{**asdict(one), "since": time_of(one.since)} for one in found], indent=2))
        return
    causes: dict[str, list[ParkedEvent]] = {}
    for one in found:
        causes.setdefault(one.digest or one.reason, []).append(one)
    for those in causes.values():
        click.echo(_cause(those))
        for one in those:
            click.echo(f"  {line(one)}")
    if not found:
        click.echo("no event is parked")


@events.command(
    epilog=example(
        """
souk events lag
SOUK_BROKER=kafka://127.0.0.1:9092 souk events lag --json | jq '.[] | select(.pending > 1000)'
"""
    )
)
@DATA
@JSON
def lag(data: Path | None, as_json: bool) -> None:
    """Lists the consumers that have not had every event: how many are pending and parked, and how old the oldest is.

    With SOUK_BROKER, also what the broker has for each consumer. While a system runs, /metrics has the same
    (souk_outbox_lag_seconds, souk_outbox_events, souk_broker_events).
    """
    found = with_parking(data, lambda lot: lot.lag()) + asyncio.run(_at_broker(data))
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=2))
    elif found:
        rows = [{name: _cell(value) for name, value in asdict(one).items()} for one in found]
        show_table(("consumer", "service", "topic", "pending", "parked", "age"), rows, {"pending", "parked", "age"})
    else:
        click.echo("every consumer has had every event")


@events.command(epilog=example("souk events show EVT-01JD2T8Q3M | jq .payload"))
@click.argument("event_id", metavar="ID")
@DATA
def show(event_id: str, data: Path | None) -> None:
    """Shows an event as JSON: its payload by its contract, why it is parked for each consumer, and what was decided."""

    async def work(lot: Parking) -> dict[str, Any]:
        record = await lot.event(event_id)
        return shown(known(event_id, [record] if record else [])[0])

    click.echo(json.dumps(with_parking(data, work), indent=2, ensure_ascii=False))


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
@filters
@click.option("--why", default="souk events replay", metavar="TEXT", help="The cause of the decision; it is kept.")
@YES
@DATA
def replay(event_id: str, everything: bool, why: str, yes: bool, data: Path | None, **wanted: Any) -> None:
    """Sends parked events again, to the consumers that parked them alone.

    Fix the cause first; otherwise they are parked again.
    """
    if everything == bool(event_id):
        raise click.UsageError("Name the event to replay, or use --all.")

    async def work(lot: Parking) -> str:
        chosen = await _chosen(lot, event_id, wanted)
        if not chosen:
            return "no event is parked"
        confirm("send again", chosen, yes)
        await lot.replay(chosen, ParkedDecision(user(), why))
        return f"{len(chosen)} will be sent again{when(lot)}"

    click.echo(with_parking(data, work))


@events.command(
    epilog=example(
        """
souk events edit EVT-01JD2T8Q3M --why "the amount had lost a digit"
souk events show EVT-01JD2T8Q3M | jq .payload > payload.json
souk events edit EVT-01JD2T8Q3M --why "no currency" --file payload.json --yes
"""
    )
)
@click.argument("event_id", metavar="ID")
@click.option("--why", required=True, metavar="TEXT", help="The cause of the decision; it is kept.")
@click.option("--file", type=click.Path(path_type=Path), help="A file with the new payload, as JSON.")
@click.option("--json", "from_input", is_flag=True, help="Reads the new payload as JSON from standard input.")
@CONSUMER
@YES
@DATA
def edit(event_id: str, why: str, file: Path | None, from_input: bool, consumer: str, **options: Any) -> None:
    """Gives a parked event another payload, and sends it again to the consumers that parked it.

    The payload is opened as JSON in the editor that VISUAL or EDITOR names, and checked against the event's contract.
    The event itself stays as it was published, and each payload that was replaced is kept, with who and why.
    """
    if not why.strip():
        raise click.UsageError("--why is empty; it must give the cause, which is kept.")
    if file and from_input:
        raise click.UsageError("Give the payload with --file or with --json, not with both.")

    async def work(lot: Parking) -> str:
        record = await lot.event(event_id)
        them = known(event_id, [one for one in record.parked if consumer in ("", one.consumer)] if record else [])
        chosen = await _chosen(lot, event_id, {"consumer": consumer})
        try:
            payload = payload_from(them[0].event, _text(them, file, from_input))
            confirm("edit and send again", chosen, options["yes"])
            await lot.edit(them, payload, ParkedDecision(user(), why))
        except (ValueError, LookupError, OSError) as error:
            raise click.ClickException(f"nothing was changed: {error}") from None
        return f"{len(them)} edited and will be sent again{when(lot)}"

    click.echo(with_parking(options["data"], work))


@events.command(epilog=example('souk events discard EVT-01JD2T8Q3M --reason "the order was a test" --yes'))
@click.argument("event_id", metavar="ID")
@click.option("--reason", "--why", required=True, metavar="TEXT", help="The cause of the decision; it is kept.")
@CONSUMER
@YES
@DATA
def discard(event_id: str, reason: str, consumer: str, yes: bool, data: Path | None) -> None:
    """Decides that a consumer shall never get a parked event. The event is kept, with who and why."""
    if not reason.strip():
        raise click.UsageError("--reason is empty; it must give the cause, which is kept.")

    async def work(lot: Parking) -> str:
        chosen = await _chosen(lot, event_id, {"consumer": consumer})
        confirm("discard", chosen, yes)
        await lot.discard(chosen, ParkedDecision(user(), reason))
        return f"{len(chosen)} discarded; `souk events discarded` lists what was"

    click.echo(with_parking(data, work))


@events.command(epilog=example("souk events discarded --json"))
@DATA
@JSON
def discarded(data: Path | None, as_json: bool) -> None:
    """Lists the events that were discarded, with who and why, the oldest first."""
    found = with_parking(data, lambda lot: lot.discarded())
    if as_json:
        click.echo(json.dumps([{**asdict(one), "at": time_of(one.at)} for one in found], indent=2))
        return
    for one in found:
        click.echo(_discarded_line(one))
    if not found:
        click.echo("no event was discarded")


async def _at_broker(data: Path | None) -> list[ConsumerLag]:
    settings = from_environment({"data": data})
    about = settings.calls.discovery
    async with opened_broker(settings.events) as broker:
        if broker is None:
            return []
        subscriptions = subscriptions_of(entry_points.loadable_services(), about.subscriptions)
        routing = EventRouting(subscriptions, broker, elsewhere(about))
        try:
            return await at_broker(broker, routing.groups)
        except BrokerUnavailable as error:
            raise click.ClickException(f"the broker cannot be asked: {error}") from None


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f} s"
    return "-" if value in (None, "") else str(value)


async def _found(lot: Parking, wanted: dict[str, Any]) -> list[ParkedEvent]:
    return filtered(await lot.events(), ParkedFilter(**wanted), SystemClock())


async def _chosen(lot: Parking, event_id: str, wanted: dict[str, Any]) -> list[ParkedEvent]:
    found = await _found(lot, wanted)
    return known(event_id, [one for one in found if one.id == event_id]) if event_id else found


def _text(them: Sequence[Parked], file: Path | None, from_input: bool) -> str:
    """Returns the new payload as JSON, as the operator gives it. Raises ValueError and OSError, with what is wrong."""
    if file is not None:
        return file.read_text("utf-8")
    if from_input:
        return sys.stdin.read()
    if len({one.event.payload for one in them}) > 1:
        raise ValueError("it has been edited for one consumer and not for another: name one with --consumer")
    text = click.edit(payload_json(them[0].event), extension=".json")
    if text is None:
        raise ValueError("the editor saved no other payload")
    return text


def _cause(those: Sequence[ParkedEvent]) -> str:
    first = those[0]
    where = f" at {first.location}" if first.location else ""
    return f"{first.digest or '-'}  {len(those)}{where}: {first.reason}"


def _discarded_line(one: Discarded) -> str:
    return f"{one.id}  {one.service}: {one.type} for {one.consumer}, by {one.by} at {time_of(one.at)}: {one.why}"
