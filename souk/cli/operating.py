"""What the commands that operate a running system have in common."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeAlias, TypeVar

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

S = TypeVar("S")
T = TypeVar("T")
Ask: TypeAlias = Callable[[S], Awaitable[T]]
"""A call of a stub."""


def operate(data: Path | None, ask: "Callable[[fleet_pb2_grpc.FleetAsyncStub], Awaitable[T]]") -> T:
    """Runs `ask` against the system on a data directory; returns its result.

    Raises ConfigurationError when no system runs there, or when it refuses the call.
    """
    return operate_by(operating, data, ask)


def operate_by(opened: Callable[[Path], AbstractAsyncContextManager[S]], data: Path | None, ask: Ask[S, T]) -> T:
    """Runs `ask` with the stub that `opened` gives for a data directory; returns its result. Raises what both raise."""

    async def asked() -> T:
        async with opened(data_directory(data)) as stub:
            return await ask(stub)

    return asyncio.run(asked())


def data_directory(data: Path | None) -> Path:
    """Gives the data directory that was named, or that of the settings."""
    # Only without a directory: to read settings, every installed service is imported, which takes a moment.
    return from_environment().data.directory if data is None else data
