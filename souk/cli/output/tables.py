"""Tables: in colour on a terminal, as plain columns in a pipe."""

from collections.abc import Collection, Mapping, Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = Mapping[str, str]
STYLES: Mapping[str, str] = {
    "ready": "green",
    "closed": "green",
    "starting": "yellow",
    "draining": "yellow",
    "half open": "yellow",
    "metrics only": "yellow",
    "disabled": "yellow",
    "backing off": "red",
    "failed": "red",
    "open": "red",
    "forced open": "red",
    "stopped": "dim",
}
"""The colour of a state."""


def show(columns: Sequence[str], rows: Sequence[Row], right: Collection[str] = ()) -> None:
    """Prints a table; the columns in `right` are aligned to the right, as numbers are."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(table(columns, rows, right))
        return
    for line in plain(columns, rows, right):
        click.echo(line)


def table(columns: Sequence[str], rows: Sequence[Row], right: Collection[str] = ()) -> Table:
    """Makes a table for a terminal."""
    drawn = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        drawn.add_column(
            name, justify="right" if name in right else "left", no_wrap=name != columns[-1] or name in right
        )
    for row in rows:
        drawn.add_row(
            *(Text(row[name], style=STYLES.get(row[name], "") if name == "state" else "") for name in columns)
        )
    return drawn


def plain(columns: Sequence[str], rows: Sequence[Row], right: Collection[str] = ()) -> list[str]:
    """Makes the same table as lines of text."""
    widths = {name: max(len(name), *(len(row[name]) for row in rows), 0) for name in columns}
    lines = ({name: name for name in columns}, *rows)
    return ["  ".join(_padded(line[name], widths[name], name in right) for name in columns).rstrip() for line in lines]


def _padded(text: str, width: int, to_the_right: bool) -> str:
    return text.rjust(width) if to_the_right else text.ljust(width)
