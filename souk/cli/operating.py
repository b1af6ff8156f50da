"""What the commands that operate a running system share."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
from soukapi.v1 import fleet_pb2_grpc

from souk.admin.client import operating
from souk.runtime.config.settings import from_environment

PATIENCE = 10.0
"""Seconds for an answer that needs no work."""
LONG = 180.0
"""Seconds for processes to start or to end."""

DATA = click.option(
    "--data", type=click.Path(path_type=Path), help="The data directory of the system [default: var/souk]"
)

T = TypeVar("T")


def operate(data: Path | None, ask: "Callable[[fleet_pb2_grpc.FleetAsyncStub], Awaitable[T]]") -> T:
    """Runs `ask` against the system on a data directory; raises ConfigurationError for what it refuses."""

    # Settings know those of every installed service, which takes a moment to import.
    where = from_environment().data if data is None else data

    async def asked() -> T:
        async with operating(where) as fleet:
            return await ask(fleet)

    return asyncio.run(asked())
