"""Every command of `souk`. Whatever goes wrong outside the code is said in one line, with exit status 1."""

import sys
from importlib.metadata import version

import click

from souk.cli.backup import backup, restore
from souk.cli.breakers import breakers
from souk.cli.contracts import openapi, routes
from souk.cli.fleet import logs, restart, scale, start, stop
from souk.cli.group import Commands, example
from souk.cli.new import new
from souk.cli.parked import parked
from souk.cli.ps import ps
from souk.cli.serve import serve
from souk.cli.settings import settings
from souk.cli.up import up
from souk.kernel.errors import ConfigurationError, StoreError
from souk.telemetry.logs import LogSettings, configure

FAILED = 1


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=example(
        """
souk up --demo                 the whole system on http://127.0.0.1:8080, with demo data
souk order                     walk one order through it
souk routes                    what can be called, by whom
souk parked                    what waits for an operator
souk backup /backups/monday    a consistent copy, also while it runs
souk ps                        the processes of the system that runs
souk scale order=3             how many processes a service of a fleet has
"""
    ),
)
@click.version_option(version("souk-platform"), prog_name="souk")
def cli() -> None:
    """A marketplace of small services that stays right when parts of it fail, and its platform."""


_RUNNING = (up, serve, ps, scale, restart, stop, start, logs, breakers)
_BESIDES = (routes, openapi, parked, backup, restore, new, settings)
for _command in (*_RUNNING, *_BESIDES):
    cli.add_command(_command)


def run(arguments: list[str]) -> int:
    """Runs a command line; returns the exit status."""
    # Before anything is logged: unless told otherwise, structlog writes to standard output, where results go,
    # and shows the local variables of every traceback. Commands that serve configure it again.
    configure(LogSettings(level="warning", terminal=sys.stderr.isatty()))
    try:
        status = cli.main(arguments, prog_name="souk", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (ConfigurationError, StoreError) as error:
        click.echo(f"souk: {error}", err=True)
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        return 130
    return status if isinstance(status, int) else 0
