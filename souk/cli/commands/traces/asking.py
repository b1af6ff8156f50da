"""What the commands about traces have in common."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from souk.cli.operating import data_directory
from souk.console.telemetry.gathering.opening import folder_of
from souk.console.telemetry.queries.finding_traces import read_trace
from souk.console.telemetry.queries.telemetry_reader import ask_file
from souk.console.telemetry.store.telemetry_file import FILE
from souk.console.telemetry.traces.trace import TraceSpan
from souk.kernel.clock import MICROSECONDS, SystemClock, to_datetime

T = TypeVar("T")

JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


def ask(data: Path | None, question: Callable[[sqlite3.Connection], T]) -> T:
    """Asks the console's file below a data directory, also while no system runs. Raises ConfigurationError."""
    return ask_file(folder_of(data_directory(data)) / FILE, question, SystemClock())


def spans_of(connection: sqlite3.Connection, trace_id: str) -> Sequence[TraceSpan]:
    """Reads a trace by the beginning of its id. Raises ClickException, which says what to do, if it is not kept."""
    found = read_trace(connection, trace_id.strip().lower())
    if not found:
        raise click.ClickException(
            f"there is no trace {trace_id}; `souk traces` lists those that are kept (of a busy second only some are: "
            "docs/tracing.md)"
        )
    return found


def echo_json(document: Any) -> None:
    """Prints a document."""
    click.echo(json.dumps(document, indent=2))


def milliseconds(microseconds: int) -> str:
    """Gives a duration for people."""
    return f"{microseconds / 1_000:,.1f} ms"


def moment_of(at: int) -> str:
    """Gives a time of this machine's zone, to the millisecond."""
    return f"{to_datetime(at).astimezone():%Y-%m-%d %H:%M:%S}.{at % MICROSECONDS // 1_000:03}"
