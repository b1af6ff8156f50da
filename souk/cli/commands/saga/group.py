"""The group of commands `souk saga`."""

import click

from souk.cli.commands.saga.acting import command
from souk.cli.commands.saga.checking import check
from souk.cli.commands.saga.reading import list_runs, show
from souk.cli.group import example
from souk.saga.operator.actions import RunAction


@click.group(
    epilog=example(
        """
souk saga list --state stuck                what needs a look
souk saga show place-order:ORD-01JD2T8Q3M:1
souk saga check                             may this code be deployed?
"""
    )
)
def saga() -> None:
    """Finds runs of sagas, acts on them, and compares definitions with open runs.

    They work on a system that runs, by its data directory, and on the data of one that does not.
    """


saga.add_command(list_runs)
saga.add_command(show)
saga.add_command(check)
for action in RunAction:
    saga.add_command(command(action))
