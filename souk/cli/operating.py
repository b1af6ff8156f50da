"""What the commands that operate a running system have in common."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
from soukapi.v1 import fleet_pb2_grpc

from souk.admin.client import operating
from souk.runtime.config.environment import from_environment

PATIENCE = 10.0
"""Seconds for an answer that needs no change of the system."""
LONG = 180.0
"""Seconds for processes to start or to end."""

DATA = click.option(
    "--data", type=click.Path(path_type=Path), help="The data directory of the system [default: var/souk]"
)

T = TypeVar("T")


def operate(data: Path | None, ask: "Callable[[fleet_pb2_grpc.FleetAsyncStub], Awaitable[T]]") -> T:
    """Runs `ask` against the system on a data directory; returns its result.

    Raises ConfigurationError when no system runs there, or when it refuses the call.
    """

    async def asked() -> T:
        async with operating(data_directory(data)) as fleet:
            return await ask(fleet)

    return asyncio.run(asked())


def data_directory(data: Path | None) -> Path:
    """Gives the data directory that was named, or that of the settings."""
    # Only without a directory: to read settings, every installed service is imported, which takes a moment.
    return from_environment().data.directory if data is None else data
