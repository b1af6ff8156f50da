"""All processes of a system, and the commands that an operator may give them."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from souk.admin.process_status import EMULATOR, ENGINE, GATEWAY, SERVICE, ProcessView
from souk.kernel.errors import ConfigurationError
from souk.supervisor.capacity import require_count, require_known
from souk.supervisor.replica_set import ReplicaSet

ENDING: tuple[tuple[str, float], ...] = ((GATEWAY, 13.0), (SERVICE, 19.0), (EMULATOR, 20.5), (ENGINE, 24.0))
"""The kinds in the order in which they end; the seconds after the first signal when running processes are killed."""
ABREAST = 1.5
"""Seconds after which the next service is asked to end although the one before it still runs."""


class Fleet:
    """The replica sets of a system, in the order in which they are listed and started.

    `admit` raises ConfigurationError when there cannot be that many processes of each.
    """

    def __init__(self) -> None:
        self.admit: Callable[[Mapping[str, int]], None] = lambda replicas: None
        self._replica_sets: dict[str, ReplicaSet] = {}
        self._changed = asyncio.Event()

    def add(self, replica_set: ReplicaSet) -> ReplicaSet:
        """Adds a replica set, and returns it."""
        self._replica_sets[replica_set.name] = replica_set
        return replica_set

    def remove(self, replica_set: ReplicaSet) -> None:
        """Removes a replica set that has ended."""
        del self._replica_sets[replica_set.name]

    def replica_sets(self, *kinds: str) -> list[ReplicaSet]:
        """Gives the replica sets of these kinds."""
        return [replica_set for replica_set in self._replica_sets.values() if replica_set.kind in kinds]

    def processes(self) -> list[ProcessView]:
        """Gives every process, in the order in which they are started."""
        return [view for replica_set in self._replica_sets.values() for view in replica_set.views]

    def changed(self) -> asyncio.Event:
        """Gives an event that is set at the next change of a process; call again for the change after that."""
        return self._changed

    def notify(self) -> None:
        """Sets the event of `changed`: the state of a process has changed."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def scale(self, service: str, replicas: int) -> None:
        """Sets the number of a service's processes; returns when new ones are ready, or the surplus has drained.

        Raises ConfigurationError, in one line, for an unknown service, for an engine or an emulator, for a number
        that is not possible, and when a new process does not come up: then there are as many as before.
        """
        replica_set = self._replica_set(service)
        if replica_set.kind not in {SERVICE, GATEWAY}:
            raise ConfigurationError(f"of {service!r} there is one; only services and the gateway are scaled")
        require_count(replicas)
        self.admit({name: len(each) for name, each in self._replica_sets.items()} | {service: replicas})
        await replica_set.scale(replicas)

    async def restart(self, service: str, progress: Callable[[str], None]) -> None:
        """Replaces a service's processes, one at a time: a new one is ready before an old one drains.

        An engine or an emulator, of which there is only one, stops and starts. Raises ConfigurationError, in one
        line, for an unknown or stopped service, and when a new process does not come up.
        """
        replica_set = self._replica_set(service)
        await (replica_set.roll if replica_set.kind in {SERVICE, GATEWAY} else replica_set.bounce)(progress)

    async def stop(self, service: str) -> None:
        """Drains and ends a service's processes; none runs until `start`."""
        await self._replica_set(service).stop()

    async def start(self, service: str) -> None:
        """Starts a service that was stopped; returns when it is ready."""
        await self._replica_set(service).start()

    async def end(self) -> None:
        """Ends all processes, gateways first and engines last; none is left after the last limit of ENDING.

        A second call does nothing.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        for kind, limit in ENDING:
            await _end_in_turn(reversed(self.replica_sets(kind)), began + limit)
        self._replica_sets.clear()

    def kill(self) -> None:
        """Kills all processes at once."""
        for replica_set in self._replica_sets.values():
            replica_set.kill()

    def _replica_set(self, name: str) -> ReplicaSet:
        require_known(name, self._replica_sets)
        return self._replica_sets[name]


async def _end_in_turn(replica_sets: Iterable[ReplicaSet], until: float) -> None:
    """Ends replica sets one after the other, as each may need those started before it; a slow one delays the next by
    at most ABREAST seconds."""
    loop = asyncio.get_running_loop()
    ending = []
    for replica_set in replica_sets:
        ending.append(asyncio.create_task(replica_set.end(max(until - loop.time(), 0.0))))
        await asyncio.wait(ending, timeout=ABREAST)
    await asyncio.gather(*ending)
