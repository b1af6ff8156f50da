"""Commands that this package adds to `souk` (entry point group `souk.commands`)."""

import asyncio
from pathlib import Path

import click

from marketplace.order.service import service
from marketplace.order.store.orders import OrderStore
from souk.sdk import offline


@click.group()
def orders() -> None:
    """Maintains the stored orders."""


@orders.command(epilog="\b\nExample:\n  souk orders rebuild --data var/souk")
@click.option("--data", type=click.Path(path_type=Path), help="The data directory of the system.")
def rebuild(data: Path | None) -> None:
    """Rebuilds the read model of all orders from the event log, in one transaction.

    A fleet must be running for that, as PostgreSQL runs with it, and orders wait meanwhile. A system of one
    process must be stopped, unless its data is on PostgreSQL.
    """
    click.echo(f"{asyncio.run(_rebuild(data))} orders read from their events and written anew.")


async def _rebuild(data: Path | None) -> int:
    async with offline(service, data) as order:
        context = order.context
        return await context.database.run(OrderStore(context.outbox, context.clock).rebuild)
