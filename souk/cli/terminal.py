"""What is said to people: plain lines, which a terminal gets at once and a pipe too."""

import sys
from typing import TextIO

import click

from souk.hosting.data_directory import make
from souk.hosting.settings import Settings
from souk.kernel.errors import ConfigurationError
from souk.telemetry.logs import LogSettings, configure


def say(line: str) -> None:
    """One line on standard output, not buffered."""
    click.echo(line)
    sys.stdout.flush()


def start_logging(settings: Settings, terminal: TextIO | None = None) -> TextIO:
    """Logs go to standard error, coloured on a terminal, or as JSON to a file; returns which.

    `terminal` is what shows them on one instead. Raises ConfigurationError when the file cannot be written.
    """
    if settings.log_file is None:
        stream = sys.stderr if terminal is None else terminal
        configure(LogSettings(level=settings.log_level, terminal=stream.isatty()), stream)
        return stream
    try:
        make(settings.log_file.parent)
        stream = settings.log_file.open("a", buffering=1)
    except OSError as error:
        raise ConfigurationError(f"the log cannot be written: {error.strerror} ({settings.log_file})") from None
    configure(LogSettings(level=settings.log_level), stream)
    return stream
