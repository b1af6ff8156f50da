"""The real etcd as a cluster of three on loopback."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from souk.testing.engines import EngineProcess
from souk.testing.registry_engines import etcd_process, free_url
from souk.testing.registry_harness import RegistryHarness

NAMES = ("one", "two", "three")


@dataclass
class ClusterHarness(RegistryHarness):
    """Its members, in the order in which the URL names them; each may be killed, and started again."""

    members: list[EngineProcess] = field(default_factory=list)

    async def start(self) -> None:
        """Starts those that do not run; none of them answers before two do."""
        await asyncio.gather(*(member.start() for member in self.members))

    async def lose(self, member: EngineProcess) -> None:
        """Kills one; the others have a leader when this returns."""
        member.kill()
        await asyncio.gather(*(one.start() for one in self.members if one is not member))

    async def stop(self) -> None:
        for member in self.members:
            member.kill()


@contextmanager
def etcd_cluster(folder: Path, lease: int) -> Iterator[ClusterHarness]:
    """A cluster, and the URL that names all of it. `lease` is in seconds."""
    clients, peers = {name: free_url() for name in NAMES}, {name: free_url() for name in NAMES}
    members = []
    for name, client in clients.items():
        own = folder / name
        own.mkdir()
        members.append(etcd_process(own, client, peers, name=name))
    url = f"etcd://{','.join(client.removeprefix('http://') for client in clients.values())}?lease={lease}"
    try:
        yield ClusterHarness(url, 2.0 * lease, members=members)
    finally:
        for member in members:
            member.kill()
