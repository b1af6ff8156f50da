"""A control plane as a process of its own, for tests that kill it.

python -m tests.mesh.control_plane_process SOCKET NODE FOLDER      publishes for NODE what `resources` made of FOLDER
"""

import asyncio
import sys
from pathlib import Path

from souk.mesh.xds.server import AdsServer
from souk.mesh.xds.snapshot import ResourceGroup, ResourceSnapshot
from tests.mesh import envoy_resources as envoy


def snapshot(folder: Path, *servers: str) -> ResourceSnapshot:
    """Makes the resources of one listener, `in.sock`, that leads to servers at the sockets NAME.sock of a folder."""
    made = (
        envoy.cluster("payment"),
        envoy.endpoints("payment", *(folder / f"{server}.sock" for server in servers)),
        envoy.listener("outbound", folder / "in.sock"),
        envoy.routes("outbound", "payment"),
    )
    return ResourceSnapshot(ResourceGroup(made))


async def main(socket: str, node: str, folder: str, *servers: str) -> None:
    server = AdsServer(lambda *_: True)
    await server.start(Path(socket))
    server.publish({node: snapshot(Path(folder), *servers)})
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
