"""What is said to people: plain lines, which a terminal gets at once and a pipe too."""

import sys

import click

from souk.hosting.settings import Settings
from souk.telemetry.logs import LogSettings, configure


def say(line: str) -> None:
    """One line on standard output, not buffered."""
    click.echo(line)
    sys.stdout.flush()


def start_logging(settings: Settings) -> None:
    """Logs go to standard error: coloured lines on a terminal, JSON elsewhere."""
    configure(LogSettings(level=settings.log_level, terminal=sys.stderr.isatty()))
