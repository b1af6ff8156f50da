"""Commands that this package adds to `souk` (entry point group `souk.commands`)."""

import asyncio
import sys
from pathlib import Path

import click
from shop.user.v1 import user_pb2 as pb

from marketplace.user.domain.account import Account
from marketplace.user.service import deps_of, service
from marketplace.user.use_cases.create_admin import CreateAdmin, create_admin
from souk.sdk import DomainError, InvalidArgument, offline, require_within_limits


@click.group()
def admin() -> None:
    """Creates administrator accounts."""


@admin.command(
    epilog="\b\nExamples:\n  souk admin create ops@example.com\n  pass show souk | souk admin create ops@example.com"
)
@click.argument("email")
@click.option("--name", default="Admin", show_default=True, help="The name of the admin, for emails.")
@click.option("--data", type=click.Path(path_type=Path), help="The data directory of the system.")
def create(email: str, name: str, data: Path | None) -> None:
    """Creates the first admin of a system; asks for the password, or reads it from standard input.

    A fleet must be running for that, as PostgreSQL runs with it. A system of one process must not, or not yet,
    unless its data is on PostgreSQL.
    """
    command = CreateAdmin(email, _password(), name)
    try:
        # The operator's input has the same limits as that of every buyer.
        require_within_limits(pb.CreateUserRequest(email=email, password=command.password, name=name))
        account = asyncio.run(_create(command, data))
    except InvalidArgument as error:
        raise click.ClickException(error.detail) from None
    except DomainError as error:
        raise click.ClickException(f"{error.detail} ({error.reason})") from None
    click.echo(f"{account.email} is an admin now, with the id {account.id}.")


def _password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


async def _create(command: CreateAdmin, data: Path | None) -> Account:
    async with offline(service, data, new=True) as user:
        return await create_admin(deps_of(user.context), command)
