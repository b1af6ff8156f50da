"""Calls the control plane of the fleet on a data directory; says in one line why a call is not possible."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from soukapi.v1 import mesh_pb2_grpc

from souk.admin.client import answered_at, control_plane_socket


@asynccontextmanager
async def operating_mesh(data: Path) -> "AsyncIterator[mesh_pb2_grpc.MeshAsyncStub]":
    """Gives a stub of `soukapi.v1.Mesh` for the fleet on a data directory.

    Raises ConfigurationError when no fleet runs there, when it is another user's or has no mesh, and for calls inside
    the block that are refused.
    """
    async with answered_at(control_plane_socket(data), data) as channel:
        yield mesh_pb2_grpc.MeshStub(channel)
