"""All processes of a system, and the commands that an operator may give them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from souk.admin.process_status import CONTROL_PLANE, EMULATOR, ENGINE, GATEWAY, READY, SERVICE, ProcessView
from souk.admin.servicers.versions import VersionLaunch, VersionState
from souk.kernel.errors import ConfigurationError
from souk.supervisor.capacity import require_count, require_known
from souk.supervisor.process_spec import ProcessSpec
from souk.supervisor.replica_set import ReplicaSet

ENDING: tuple[tuple[str, float], ...] = (
    (GATEWAY, 13.0),
    (SERVICE, 19.0),
    (CONTROL_PLANE, 20.0),
    (EMULATOR, 20.5),
    (ENGINE, 24.0),
)
"""The kinds in the order in which they end; the seconds after the first signal when running processes are killed."""
ABREAST = 1.5
"""Seconds after which the next service is asked to end although the one before it still runs."""


MOST_DEATHS = 3
"""Deaths of a version's process after which it is not waited for any more, unless it takes calls just then."""


class Versions(Protocol):
    """Makes processes of versions. Raises ConfigurationError, in one line, for a launch that cannot be."""

    def beside(self, launch: VersionLaunch) -> ReplicaSet:
        """Makes the processes of a version beside those of its service."""
        ...

    def instead(self, launch: VersionLaunch) -> Callable[[int], ProcessSpec]:
        """Makes the specs by which the service's own processes are of the version."""
        ...


class Fleet:
    """The replica sets of a system, in the order in which they are listed and started.

    `admit` raises ConfigurationError when there cannot be that many processes of each. With a mesh, `versions` makes
    those of other versions of a service.
    """

    def __init__(self) -> None:
        self.admit: Callable[[Mapping[str, int]], None] = lambda replicas: None
        self.versions: Versions | None = None
        self._launches: dict[str, VersionLaunch] = {}
        self._adopted: dict[str, str] = {}
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
        self._require_room(service, replicas - len(replica_set))
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

    def start_version(self, launch: VersionLaunch) -> None:
        """Starts processes of a version of a service beside its own, without waiting for them.

        Raises ConfigurationError, in one line, for an unknown service, without a mesh, for a launch that cannot be, and
        when the version runs in another way.
        """
        service, name = self._replica_set(launch.service), _version_name(launch.service, launch.version)
        if service.kind != SERVICE or self.versions is None:
            raise ConfigurationError("versions beside each other are for services of a fleet with a mesh: `--mesh`")
        if name in self._replica_sets:
            if self._launches[name] != launch:
                raise ConfigurationError(f"{name} runs already, in another way; abort its canary first")
            return
        require_count(launch.instances)
        self._require_room(launch.service, launch.instances)
        made = self.versions.beside(launch)
        self._launches[name] = launch
        self.add(made).begin()

    def version_state(self, service: str, version: str) -> VersionState:
        """Gives how many processes of a version take calls; one that has died too often is why there are no more."""
        replica_set = self._replica_sets.get(_version_name(service, version))
        if replica_set is None:
            return VersionState(0)
        for view in replica_set.views:
            if view.restarts >= MOST_DEATHS and view.state != READY:
                return VersionState(replica_set.ready_pods, f"{view.instance} died {view.restarts} times: {view.why}")
        return VersionState(replica_set.ready_pods)

    async def adopt_version(self, service: str, version: str) -> None:
        """Replaces a service's own processes one by one by such of a version that was started; it stays beside them.

        Raises ConfigurationError, in one line, when it was not started, and when a new process does not come up.
        """
        replica_set, launch = self._replica_set(service), self._launches.get(_version_name(service, version))
        if launch is None or self.versions is None:
            if self._adopted.get(service) == version:
                return
            raise ConfigurationError(f"no {version} of {service} was started")
        await replica_set.become(version, self.versions.instead(launch))
        self._adopted[service] = version

    async def stop_version(self, service: str, version: str) -> None:
        """Drains and ends the processes of a version beside its service; returns when none is left."""
        name = _version_name(service, version)
        if (replica_set := self._replica_sets.get(name)) is not None:
            await replica_set.stop()
            await replica_set.end(0)
            self._launches.pop(name, None)
            self._replica_sets.pop(name, None)
            self.notify()

    def has_service(self, name: str) -> bool:
        """Tells whether there is a service, or anything else, of a name."""
        return name in self._replica_sets

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

    def _require_room(self, service: str, more: int) -> None:
        """Checks that a service may have so many processes more, versions included."""
        counts = Counter[str]({_service_of(service): more})
        for name, each in self._replica_sets.items():
            counts[_service_of(name)] += len(each)
        self.admit(counts)

    def _replica_set(self, name: str) -> ReplicaSet:
        require_known(name, self._replica_sets)
        return self._replica_sets[name]


def _version_name(service: str, version: str) -> str:
    return f"{service}@{version}"


def _service_of(name: str) -> str:
    """Gives the service of a replica set, which may be that of a version of it."""
    return name.partition("@")[0]


async def _end_in_turn(replica_sets: Iterable[ReplicaSet], until: float) -> None:
    """Ends replica sets one after the other, as each may need those started before it; a slow one delays the next by
    at most ABREAST seconds."""
    loop = asyncio.get_running_loop()
    ending = []
    for replica_set in replica_sets:
        ending.append(asyncio.create_task(replica_set.end(max(until - loop.time(), 0.0))))
        await asyncio.wait(ending, timeout=ABREAST)
    await asyncio.gather(*ending)
