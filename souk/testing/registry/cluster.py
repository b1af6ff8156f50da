"""A real etcd cluster of three members on loopback."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from souk.testing.engines import EngineProcess
from souk.testing.registry.engines import etcd_process, free_url
from souk.testing.registry.harness import RegistryHarness

NAMES = ("one", "two", "three")


@dataclass
class ClusterHarness(RegistryHarness):
    """An etcd cluster; `members` are in the order of the URL, and each can be killed and started again."""

    members: list[EngineProcess] = field(default_factory=list)

    async def start(self) -> None:
        """Starts the members that do not run, together: none answers before two of them run."""
        await asyncio.gather(*(member.start() for member in self.members))

    async def lose(self, member: EngineProcess) -> None:
        """Kills one member, and waits until the others have a leader."""
        member.kill()
        await asyncio.gather(*(one.start() for one in self.members if one is not member))

    async def stop(self) -> None:
        for member in self.members:
            member.kill()


@contextmanager
def etcd_cluster(folder: Path, lease: int) -> Iterator[ClusterHarness]:
    """Makes a cluster, not started, with an URL that names all members. `lease` is in seconds."""
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
