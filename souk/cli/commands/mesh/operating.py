"""What the commands that operate the control plane of a running fleet have in common."""

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeVar

import click
from soukapi.v1 import mesh_pb2 as pb
from soukapi.v1 import mesh_pb2_grpc

from souk.cli.operating import operate_by
from souk.mesh.operations.client import operating_mesh

FAILED = 1
PATIENCE = 60.0
"""Seconds for a change that sidecars are to take."""

T = TypeVar("T")


def operate_mesh(data: Path | None, ask: "Callable[[mesh_pb2_grpc.MeshAsyncStub], Awaitable[T]]") -> T:
    """Runs `ask` against the control plane of the fleet on a data directory; returns its result.

    Raises ConfigurationError when no fleet with a mesh runs there, or when it refuses the call.
    """
    return operate_by(operating_mesh, data, ask)


def rejection_line(one: pb.RejectedResource) -> str:
    """Says what a sidecar rejected, in one line."""
    under = f" of policy {one.revision}" if one.revision else ""
    version = one.version[:12] or "its removal"
    return f"{one.instance}-sidecar rejected {one.type} {one.name!r} ({version}){under}: {' '.join(one.error.split())}"


def warn_late(instances: Iterable[str]) -> int:
    """Says which sidecars have not yet taken a change; returns the exit status."""
    late = list(instances)
    for name in late:
        click.echo(f"souk: {name}-sidecar has not taken it yet; it gets it as soon as it can", err=True)
    return FAILED if late else 0
