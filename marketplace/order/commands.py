"""Commands that this package brings to `souk` (entry point group `souk.commands`)."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import click
import grpc.aio

from marketplace.order.service import service
from marketplace.order.store import OrderStore
from souk.faults import INERT
from souk.hosting.hosted import Ground, hosted
from souk.hosting.settings import from_environment
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError


@click.group()
def orders() -> None:
    """Orders, from the inside."""


@orders.command(epilog="\b\nExample:\n  souk orders rebuild --data var/souk")
@click.option("--data", type=click.Path(path_type=Path), help="The data directory; no system may be using it.")
def rebuild(data: Path | None) -> None:
    """Makes the read model of all orders anew from the event log, in one transaction."""
    click.echo(f"{asyncio.run(_rebuild(data))} orders read from their events and written anew.")


async def _rebuild(data: Path | None) -> int:
    settings, clock = from_environment({"data": data}), SystemClock()
    ground = Ground(settings=settings, clock=clock, faults=INERT, instance="souk-orders", channels=_alone)
    async with hosted(service, ground) as order:
        return await order.host.database.run(OrderStore(order.host.outbox, clock).rebuild)


def _alone(caller: str) -> Callable[[str], grpc.aio.Channel]:
    def channel(name: str) -> NoReturn:
        raise ConfigurationError(f"this command runs alone and cannot reach {name}")

    return channel
