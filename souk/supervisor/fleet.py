"""Every process of a system, and what an operator may ask of them."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from souk.admin.process_status import EMULATOR, ENGINE, GATEWAY, SERVICE, ProcessView
from souk.kernel.errors import ConfigurationError
from souk.supervisor.capacity import require_count, require_known
from souk.supervisor.replica_set import ReplicaSet

ENDING: tuple[tuple[str, float], ...] = ((GATEWAY, 13.0), (SERVICE, 19.0), (EMULATOR, 20.5), (ENGINE, 24.0))
"""Who ends after whom, and how many seconds after the first signal what still runs of it is killed."""
ABREAST = 1.5
"""Seconds that a service is waited for before the next is asked to end beside it."""


class Fleet:
    """The replica sets of a system, in the order in which they are listed and started.

    `admit` raises ConfigurationError when so many processes of each cannot be.
    """

    def __init__(self) -> None:
        self.admit: Callable[[Mapping[str, int]], None] = lambda replicas: None
        self._replica_sets: dict[str, ReplicaSet] = {}
        self._changed = asyncio.Event()

    def add(self, replica_set: ReplicaSet) -> ReplicaSet:
        """One replica set more."""
        self._replica_sets[replica_set.name] = replica_set
        return replica_set

    def replica_sets(self, *kinds: str) -> list[ReplicaSet]:
        """The replica sets of some kinds."""
        return [replica_set for replica_set in self._replica_sets.values() if replica_set.kind in kinds]

    def processes(self) -> list[ProcessView]:
        """Every process, in the order in which they are started."""
        return [view for replica_set in self._replica_sets.values() for view in replica_set.views]

    def changed(self) -> asyncio.Event:
        """Is set when the state of a process changes next; ask anew for the change after it."""
        return self._changed

    def tell(self) -> None:
        """The state of a process has changed."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def scale(self, service: str, replicas: int) -> None:
        """Returns when the new processes are ready, or the surplus has drained.

        Raises ConfigurationError, in one line, for a service that is not there or is no service, for a
        number that cannot be, and when a new one does not come up: then there are as many as before.
        """
        replica_set = self._replica_set(service)
        if replica_set.kind not in {SERVICE, GATEWAY}:
            raise ConfigurationError(f"of {service!r} there is one; only services and the gateway are scaled")
        require_count(replicas)
        self.admit({name: len(each) for name, each in self._replica_sets.items()} | {service: replicas})
        await replica_set.scale(replicas)

    async def restart(self, service: str, progress: Callable[[str], None]) -> None:
        """Replaces a service's processes, one at a time: a new one is ready before an old one drains.

        What there is only one of, an engine or an emulator, stops and starts. Raises ConfigurationError
        as `scale` does.
        """
        replica_set = self._replica_set(service)
        await (replica_set.roll if replica_set.kind in {SERVICE, GATEWAY} else replica_set.bounce)(progress)

    async def stop(self, service: str) -> None:
        """Drains a service's processes; none of them is there until `start`."""
        await self._replica_set(service).stop()

    async def start(self, service: str) -> None:
        """Starts what was stopped; returns when it is ready."""
        await self._replica_set(service).start()

    async def end(self) -> None:
        """Ends everything, gateways first and engines last; nothing is left after the last limit.

        Called again it has nothing to do.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        for kind, limit in ENDING:
            await _end_in_turn(reversed(self.replica_sets(kind)), began + limit)
        self._replica_sets.clear()

    def kill(self) -> None:
        """Ends everything at once."""
        for replica_set in self._replica_sets.values():
            replica_set.kill()

    def _replica_set(self, name: str) -> ReplicaSet:
        require_known(name, self._replica_sets)
        return self._replica_sets[name]


async def _end_in_turn(replica_sets: Iterable[ReplicaSet], until: float) -> None:
    """One after the other, as each may need those started before it; a slow one does not hold up the rest."""
    loop = asyncio.get_running_loop()
    ending = []
    for replica_set in replica_sets:
        ending.append(asyncio.create_task(replica_set.end(max(until - loop.time(), 0.0))))
        await asyncio.wait(ending, timeout=ABREAST)
    await asyncio.gather(*ending)
