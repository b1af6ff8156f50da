"""`souk traces show`, `compare`, `edges` and `runs`."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import click

from souk.cli.commands.traces.asking import JSON, ask, echo_json, milliseconds, moment_of, spans_of
from souk.cli.commands.traces.drawing import drawn
from souk.cli.group import example
from souk.cli.operating import DATA
from souk.cli.output.tables import show as show_table
from souk.console.telemetry.queries.edges import CallFigures, read_edges
from souk.console.telemetry.queries.runs import list_runs
from souk.console.telemetry.traces.comparison import OperationDifference, OperationTimes, compare_traces
from souk.console.telemetry.traces.shown_trace import shown_trace
from souk.console.telemetry.traces.trace import tree_of
from souk.kernel.clock import MICROSECONDS, SystemClock


@click.command(
    short_help="Draws one trace as a tree.",
    epilog=example("souk traces show 4dca620f\nsouk traces show 4dca620fa688308e85736f76c4368517 --json"),
)
@click.argument("trace_id", metavar="ID")
@JSON
@DATA
def show(trace_id: str, as_json: bool, data: Path | None) -> None:
    """Draws a trace: every span under its parent, when it ran, and which of them the end of the whole waited for (its
    critical path). The beginning of the id is enough."""
    trace = shown_trace(ask(data, lambda connection: spans_of(connection, trace_id)))
    if as_json:
        echo_json(trace.document)
        return
    for line in drawn(trace):
        click.echo(line)


@click.command(short_help="Compares two traces by operation.", epilog=example("souk traces compare 4dca620f 07be12d4"))
@click.argument("first", metavar="ID")
@click.argument("second", metavar="ID")
@JSON
@DATA
def compare(first: str, second: str, as_json: bool, data: Path | None) -> None:
    """Compares two traces by operation: what only one of them has, what takes longer, what fails."""

    def question(connection: sqlite3.Connection) -> Sequence[OperationDifference]:
        before, after = (tree_of(spans_of(connection, one)) for one in (first, second))
        return compare_traces(before, after)

    found = ask(data, question)
    if as_json:
        echo_json([one.document for one in found])
        return
    rows = [
        {
            "difference": str(one.difference),
            "service": one.service,
            "first": _times(one.first),
            "second": _times(one.second),
            "operation": one.name,
        }
        for one in found
    ]
    show_table(("difference", "service", "first", "second", "operation"), rows, {"first", "second"})


def _times(one: OperationTimes) -> str:
    return f"{one.count} x {milliseconds(one.took // one.count)}" if one.count else "-"


@click.command(
    short_help="Shows who calls whom, how often and how fast.",
    epilog=example("souk traces edges\nsouk traces edges --methods --minutes 60"),
)
@click.option("--minutes", type=click.IntRange(1, 10_000), default=5, show_default=True, help="Of the last minutes.")
@click.option("--methods", is_flag=True, help="Each method apart.")
@JSON
@DATA
def edges(minutes: int, methods: bool, as_json: bool, data: Path | None) -> None:
    """Shows each pair of a caller and a callee: calls per second, failures, and the times that half and 99 % took at
    most. The figures count every call, whether its trace was kept or not."""
    now = SystemClock().now()
    since = now - minutes * 60 * MICROSECONDS
    found = ask(data, lambda connection: read_edges(connection, since, now, by_method=methods))
    if as_json:
        echo_json([one.document for one in found])
        return
    if not found:
        click.echo(f"no calls in the last {minutes} minutes")
        return
    rows = [_edge(one) for one in found]
    numbers = {"calls/s", "failed/s", "refused/s", "p50", "p99"}
    columns = ("caller", "callee", *(("method",) if methods else ()), "calls/s", "failed/s", "refused/s", "p50", "p99")
    show_table(columns, rows, numbers)


def _edge(one: CallFigures) -> dict[str, str]:
    def seconds(value: float | None) -> str:
        return "-" if value is None else f"{value * 1_000:,.1f} ms"

    return {
        "caller": one.caller,
        "callee": one.callee,
        "method": one.method,
        "calls/s": f"{one.rate:.2f}",
        "failed/s": f"{one.failures:.2f}",
        "refused/s": f"{one.refusals:.2f}",
        "p50": seconds(one.p50),
        "p99": seconds(one.p99),
    }


@click.command(short_help="Lists the starts of the system.", epilog=example("souk traces runs"))
@JSON
@DATA
def runs(as_json: bool, data: Path | None) -> None:
    """Lists the starts of the system that something is kept of, each with its name."""
    found = ask(data, list_runs)
    if as_json:
        echo_json(found)
        return
    rows = [
        {
            "name": str(one["name"]),
            "began": moment_of(int(str(one["began"]))),
            "last seen": moment_of(int(str(one["last_seen"]))),
            "traces": str(one["traces"]),
            "failed": str(one["failed"]),
        }
        for one in found
    ]
    show_table(("name", "began", "last seen", "traces", "failed"), rows, {"traces", "failed"})
