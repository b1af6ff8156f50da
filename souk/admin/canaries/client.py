"""Asks the control plane of the fleet on a data directory about canaries; says in one line why that is not possible."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from soukapi.v1 import canary_pb2_grpc

from souk.admin.client import answered_at, control_plane_socket
from souk.runtime.data.layout import DataLayout


@asynccontextmanager
async def operating_canaries(data: Path) -> "AsyncIterator[canary_pb2_grpc.CanariesAsyncStub]":
    """Gives a stub of `soukapi.v1.Canaries` for the fleet on a data directory.

    Raises ConfigurationError when no fleet runs there, when it is another user's or has no mesh, and for calls inside
    the block that are refused.
    """
    async with answered_at(control_plane_socket(data, "a canary"), data) as channel:
        yield canary_pb2_grpc.CanariesStub(channel)


def has_mesh(data: Path) -> bool:
    """Tells whether the system on a data directory has a control plane."""
    return DataLayout(data.resolve()).control_plane.exists()
