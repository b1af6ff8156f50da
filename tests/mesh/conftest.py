"""A control plane and a sidecar that it configures."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from souk.mesh.envoy.bootstrap import Sidecar
from souk.mesh.xds.exchange import DeltaNode
from souk.mesh.xds.server import AdsServer
from souk.testing.servers.sidecar import SidecarProcess

NODE = "payment-1"
GOOD_TOKEN = "a-token"


def is_the_node(node: DeltaNode, token: str) -> bool:
    return node == DeltaNode(NODE, "payment") and token == GOOD_TOKEN


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="mesh-") as made:
        yield Path(made)


@pytest.fixture
def control_plane_socket(folder: Path) -> Path:
    return folder / "control" / "xds.sock"


@pytest.fixture
async def ads(control_plane_socket: Path) -> AsyncIterator[AdsServer]:
    """A control plane that takes one node."""
    server = AdsServer(is_the_node)
    await server.start(control_plane_socket)
    yield server
    await server.stop()


@pytest.fixture
def sidecar(folder: Path, control_plane_socket: Path) -> Iterator[SidecarProcess]:
    """The node's Envoy, which is not started yet."""
    settings = Sidecar(NODE, "payment", GOOD_TOKEN, control_plane_socket, folder / "admin.sock")
    with SidecarProcess(folder / "sidecar", settings) as process:
        yield process
