"""The group of commands `souk canary`."""

import click

from souk.cli.commands.canary.start import start
from souk.cli.commands.canary.status import status
from souk.cli.commands.canary.steer import HELP, command
from souk.cli.group import example


@click.group(
    epilog=example(
        """
souk canary start payment --version v2
souk canary status payment
souk canary abort payment --why 'ticket 4711'
"""
    )
)
def canary() -> None:
    """Releases a version of a service to a growing share of its calls, and takes it back if it is worse.

    Needs a fleet with a mesh: `souk up --topology fleet --mesh`.
    """


canary.add_command(start)
canary.add_command(status)
for action in HELP:
    canary.add_command(command(action))
