"""Messages for people, as plain lines that are not buffered, and the log of processes that serve."""

import sys
from pathlib import Path
from typing import TextIO, cast

import click

from souk.cli.output.outliving import outlive_readers, outliving
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.settings import LogFileSettings
from souk.runtime.data.directory import make
from souk.telemetry.logs import LogSettings, configure
from souk.telemetry.turning_file import LogLimits, TurningFile, TurningLog


def print_line(line: str) -> None:
    """Prints a line on standard output, not buffered."""
    click.echo(line)
    sys.stdout.flush()


def start_logging(settings: LogFileSettings, terminal: TextIO | None = None) -> TextIO:
    """Starts logging to standard error, coloured on a terminal, or as JSON to a file; returns the stream.

    For processes that serve: from now on a lost reader of the output does not end them.

    `terminal` is used in place of standard error. Raises ConfigurationError when the file cannot be written.
    """
    outlive_readers()
    if settings.file is None:
        stream = sys.stderr if terminal is None else terminal
        configure(LogSettings(level=settings.level, terminal=stream.isatty()), stream)
        return stream
    try:
        make(settings.file.parent)
        stream = outliving(_turning(settings.file, settings.limits))
    except OSError as error:
        raise ConfigurationError(f"the log cannot be written: {error.strerror} ({settings.file})") from None
    configure(LogSettings(level=settings.level), stream)
    return stream


def _turning(path: Path, limits: LogLimits) -> TextIO:
    """Opens a log that only its owner can read, whatever the umask, and that is rotated when it is full."""
    file = TurningFile(path, limits.full, limits.kept)
    file.open()
    return cast(TextIO, TurningLog(file))
