"""The group of commands `souk traces`, which lists them."""

from pathlib import Path

import click

from souk.cli.commands.traces.asking import JSON, ask, echo_json, milliseconds, moment_of
from souk.cli.commands.traces.reading import compare, edges, runs, show
from souk.cli.group import example
from souk.cli.moment import Moment
from souk.cli.operating import DATA
from souk.cli.output.tables import show as show_table
from souk.console.telemetry.queries.finding_traces import MOST, TraceFilter, find_traces


@click.group(
    invoke_without_command=True,
    epilog=example(
        """
souk traces                                 the newest
souk traces --errors --since 1h
souk traces --service payment --operation Charge --slower 0.5
souk traces --text ORD-01JD2T8Q3M           of an order
souk traces --attribute http.route=/api/v1/orders --json
souk traces show 4dca620f                   one of them as a tree
souk traces compare 4dca620f 07be12d4       what is new, missing or slower
"""
    ),
)
@click.option("--service", default="", help="That have a span of this service.")
@click.option("--operation", default="", help="That have a span with this in its name.")
@click.option("--errors", is_flag=True, help="In which something failed.")
@click.option("--slower", type=click.FloatRange(0), default=None, metavar="SECONDS", help="That took at least so long.")
@click.option("--faster", type=click.FloatRange(0), default=None, metavar="SECONDS", help="That took at most so long.")
@click.option("--since", type=Moment(), default=None, help="That began since then: 10m (ago), or a date.")
@click.option("--until", type=Moment(), default=None, help="That began until then.")
@click.option("--text", default="", help="With this in a name or an attribute, such as an order's id.")
@click.option("--attribute", default="", metavar="NAME=VALUE", help="That have a span with this attribute.")
@click.option("--run", default="", metavar="NAME", help="Of this start of the system: `souk traces runs`.")
@click.option("--console", is_flag=True, help="Also requests to the console itself.")
@click.option("--limit", type=click.IntRange(1, MOST), default=20, show_default=True, help="So many at most.")
@JSON
@DATA
@click.pass_context
def traces(
    context: click.Context,
    service: str,
    operation: str,
    errors: bool,
    slower: float | None,
    faster: float | None,
    since: int | None,
    until: int | None,
    text: str,
    attribute: str,
    run: str,
    console: bool,
    limit: int,
    as_json: bool,
    data: Path | None,
) -> None:
    """Lists traces that the console has gathered, the newest first, also of a system that does not run.

    Of a busy second only the first traces are kept, and those that failed, were slow, retried or undone.
    """
    if context.invoked_subcommand is not None:
        return
    pair = _pair(attribute)
    wanted = TraceFilter(service, operation, text, pair, errors, slower, faster, since, until, run, limit, console)
    found = ask(data, lambda connection: find_traces(connection, wanted))
    if as_json:
        echo_json([one.document for one in found])
        return
    if not found:
        click.echo("no such trace is kept; `souk traces` without options lists the newest")
        return
    rows = [
        {
            "began": moment_of(one.began),
            "took": milliseconds(one.took),
            "spans": str(one.spans),
            "failed": str(one.errors) if one.errors else "",
            "id": one.trace_id,
            "operation": f"{one.service}: {one.name}",
        }
        for one in found
    ]
    show_table(("began", "took", "spans", "failed", "id", "operation"), rows, {"took", "spans", "failed"})


def _pair(text: str) -> tuple[str, str] | None:
    if not text:
        return None
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{text!r} must read like http.route=/api/v1/orders", param_hint="--attribute")
    return name, value


for command in (show, compare, edges, runs):
    traces.add_command(command)
