"""All commands of `souk`. An error that is not one of the code is reported in one line, with exit status 1."""

import sys
from importlib.metadata import version

import click

from souk.cli.group import CommandGroup, example
from souk.kernel.errors import ConfigurationError, StoreError
from souk.telemetry.logs import LogSettings, configure

FAILED = 1


_OWN = {
    "up": "up",
    "serve": "process.serve",
    "adopt": "process.adopt",
    "migrate": "process.migrate",
    "ps": "ps",
    "scale": "fleet",
    "restart": "fleet",
    "stop": "fleet",
    "start": "fleet",
    "logs": "logs",
    "breakers": "breakers",
    "routes": "routes",
    "mesh": "mesh.group",
    "canary": "canary.group",
    "gateway": "gateway",
    "openapi": "contracts",
    "asyncapi": "contracts",
    "parked": "parked",
    "saga": "saga.group",
    "traces": "traces.group",
    "events": "events",
    "rebuild": "rebuild",
    "backup": "backup",
    "restore": "backup",
    "new": "new",
    "settings": "settings",
}
"""The module of each command, in `souk.cli.commands`."""


@click.group(
    cls=CommandGroup,
    own={name: f"{__package__}.commands.{module}" for name, module in _OWN.items()},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=example(
        """
souk up --demo                 the whole system on http://127.0.0.1:8080, with demo data
souk order                     walk one order through it
souk routes                    what can be called, by whom
souk parked                    what waits for an operator
souk saga list --state stuck   runs of sagas that need a look
souk rebuild order.read-model  make the read model of the orders anew
souk backup /backups/monday    a consistent copy, also while it runs
souk adopt reviews.main:app     an application of yours behind its gateway
souk ps                        the processes of the system that runs
souk scale order=3             how many processes a service of a fleet has
souk logs --level warning      what the processes wrote, all of them as one log
"""
    ),
)
@click.version_option(version("souk-platform"), prog_name="souk")
def cli() -> None:
    """A marketplace of small services that stays right when parts of it fail, and its platform."""


def run(arguments: list[str]) -> int:
    """Runs a command line; returns the exit status."""
    # Before anything is logged: by default structlog writes to standard output, where results go, and shows
    # the local variables of every traceback. Commands that serve configure it again.
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
