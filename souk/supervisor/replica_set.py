"""A replica set: all processes of one service, or of one engine, each with its sidecar if the fleet has a mesh."""

import asyncio
from collections.abc import Callable

from souk.admin.process_status import READY, STOPPED, ProcessView
from souk.kernel.errors import ConfigurationError
from souk.supervisor.capacity import next_number
from souk.supervisor.managed_process import ManagedProcess
from souk.supervisor.process_spec import ProcessSpec, SupervisorContext

READY_LIMIT = 60.0
"""Seconds without progress after which a command that started a new process fails."""
TRIES = 3
GIVE_UP = 5.0
"""The command fails earlier after this many deaths of the new process and this many seconds. A new PostgreSQL may have
to wait for the rest of one that was killed."""
DRAIN_LIMIT = 25.0
"""Seconds that a process gets to finish its work, when it alone is asked to end."""
SIDECAR_END = 3.0
"""Seconds that a sidecar gets to end; no call runs any more by then."""


class Pod:
    """Keeps a process alive, and its sidecar with it: each is started again by itself when it dies.

    The sidecar ends after the process, whose last calls go through it.
    """

    def __init__(self, spec: ProcessSpec, context: SupervisorContext) -> None:
        self.process = ManagedProcess(spec, context)
        self.sidecar = None if spec.sidecar is None else ManagedProcess(spec.sidecar, context)

    @property
    def processes(self) -> tuple[ManagedProcess, ...]:
        """The process, and its sidecar."""
        return (self.process,) if self.sidecar is None else (self.process, self.sidecar)

    @property
    def views(self) -> list[ProcessView]:
        """The present state of each."""
        return [one.view for one in self.processes]

    def start(self) -> None:
        """Keeps both alive from now on."""
        for one in reversed(self.processes):
            one.start()

    async def ready(self) -> None:
        """Waits until both take calls."""
        await asyncio.gather(*(one.ready() for one in self.processes))

    async def attempted(self) -> None:
        """Waits until each has taken calls, or died, once."""
        await asyncio.gather(*(one.attempted() for one in self.processes))

    async def stop(self, limit: float) -> None:
        """Asks the process to end, kills it after `limit` seconds, and ends the sidecar then."""
        await self.process.stop(limit)
        if self.sidecar is not None:
            await self.sidecar.stop(min(limit, SIDECAR_END))

    def close(self) -> None:
        """Closes the logs, and leaves the network namespace; neither is managed any more."""
        for one in self.processes:
            one.close()
        if self.process.spec.network is not None:
            self.process.spec.network.close()

    def kill(self) -> None:
        """Sends both their kill signals, and does not wait for their end."""
        for one in self.processes:
            one.kill()


class ReplicaSet:
    """`replicas` processes, numbered from 1; `spec` gives the spec of the process with a number."""

    def __init__(
        self, name: str, kind: str, replicas: int, spec: Callable[[int], ProcessSpec], context: SupervisorContext
    ) -> None:
        self.name, self.kind = name, kind
        self._spec_of, self._context = spec, context
        self._stopped = False
        self._changing = asyncio.Lock()
        self._pods: dict[int, Pod] = {}
        for _ in range(replicas):
            self._make()

    def __len__(self) -> int:
        return len(self._pods)

    @property
    def views(self) -> list[ProcessView]:
        """The state of each process, in the order of their numbers."""
        return [view for _, pod in sorted(self._pods.items()) for view in pod.views]

    @property
    def ready_pods(self) -> int:
        """How many processes take calls, their sidecars included."""
        return sum(all(view.state == READY for view in pod.views) for pod in self._pods.values())

    def begin(self) -> None:
        """Starts every process, without waiting."""
        for pod in self._pods.values():
            pod.start()

    async def ready(self) -> None:
        """Waits until every process takes calls, however long it takes."""
        await asyncio.gather(*(pod.ready() for pod in self._pods.values()))

    async def attempted(self) -> None:
        """Waits until every process has taken calls once, or died."""
        await asyncio.gather(*(pod.attempted() for pod in self._pods.values()))

    async def come_up(self) -> None:
        """Waits until every process takes calls. Raises ConfigurationError when one does not come up."""
        await asyncio.gather(*(_come_up(one) for pod in self._pods.values() for one in pod.processes))

    async def scale(self, replicas: int) -> None:
        """Sets the number of processes; returns when new ones are ready, or the surplus has drained.

        Raises ConfigurationError when a new one does not come up: then there are as many as before.
        """
        async with self._changing:
            new = [self._make() for _ in range(replicas - len(self._pods))]
            if self._stopped:
                await asyncio.gather(*(pod.stop(0) for pod in new))
            else:
                await self._bring_up(new)
            surplus = sorted(self._pods)[replicas:]
            await asyncio.gather(*(self._dismiss(number, DRAIN_LIMIT) for number in surplus))

    async def roll(self, progress: Callable[[str], None]) -> None:
        """Replaces the processes one by one: a new one is ready before an old one drains."""
        async with self._changing:
            self._require_started()
            for number in sorted(self._pods):
                new = self._make()
                await self._bring_up([new])
                view = new.process.view
                progress(f"{view.instance} is ready on {view.address}")
                old = self._pods[number].process.view.instance
                await self._dismiss(number, DRAIN_LIMIT)
                progress(f"{old} has drained and stopped")

    async def become(self, version: str, spec: Callable[[int], ProcessSpec]) -> None:
        """Replaces the processes that are not of a version by such of it, as `roll` does; `spec` gives theirs.

        Raises ConfigurationError when one does not come up: then new ones are as before, too.
        """
        async with self._changing:
            self._require_started()
            before, self._spec_of = self._spec_of, spec
            try:
                for number in [one for one in sorted(self._pods) if self._pods[one].process.spec.version != version]:
                    await self._bring_up([self._make()])
                    await self._dismiss(number, DRAIN_LIMIT)
            except BaseException:
                self._spec_of = before
                raise

    async def bounce(self, progress: Callable[[str], None]) -> None:
        """Stops every process and starts it again, for engines and emulators, of which there may be only one."""
        async with self._changing:
            self._require_started()
            await self._halt(DRAIN_LIMIT)
            progress(f"{self.name} has stopped")
            await self._go_on()
            progress(f"{self.name} is ready")

    async def stop(self, limit: float = DRAIN_LIMIT) -> None:
        """Ends every process; they stay listed as stopped until `start`."""
        async with self._changing:
            self._stopped = True
            await self._halt(limit)

    async def start(self) -> None:
        """Starts the processes if they were stopped; returns when they are ready."""
        async with self._changing:
            if self._stopped:
                self._stopped = False
                await self._go_on()

    async def end(self, limit: float) -> None:
        """Ends every process for good, also while another command runs."""
        await self._halt(limit)
        for pod in self._pods.values():
            pod.close()

    def kill(self) -> None:
        """Kills every process at once."""
        for pod in self._pods.values():
            pod.kill()

    def _make(self) -> Pod:
        number = next_number(self._pods)
        pod = self._pods[number] = Pod(self._spec_of(number), self._context)
        return pod

    async def _dismiss(self, number: int, limit: float) -> None:
        pod = self._pods[number]
        await pod.stop(limit)
        del self._pods[number]
        pod.close()
        for view in pod.views:
            self._context.on_state(view)

    async def _halt(self, limit: float) -> None:
        await asyncio.gather(*(pod.stop(limit) for pod in self._pods.values()))

    async def _go_on(self) -> None:
        self.begin()
        await self.come_up()

    async def _bring_up(self, new: list[Pod]) -> None:
        """Starts new processes; removes them all again if one of them does not come up."""
        for pod in new:
            pod.start()
        try:
            await asyncio.gather(*(_come_up(process) for pod in new for process in pod.processes))
        except BaseException:
            numbers = [number for number, pod in self._pods.items() if pod in new]
            await asyncio.gather(*(self._dismiss(number, 0) for number in numbers))
            raise

    def _require_started(self) -> None:
        if self._stopped:
            raise ConfigurationError(f"{self.name} is stopped; start it with `souk start {self.name}`")


async def _come_up(process: ManagedProcess) -> None:
    """Waits until a process takes calls. Raises ConfigurationError when it dies repeatedly, or takes too long."""
    ready = asyncio.ensure_future(process.ready())
    deaths = process.view.restarts
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        while not ready.done():
            await asyncio.wait({ready}, timeout=0.1)
            view, took = process.view, loop.time() - began
            hopeless = min(took, process.idle_for()) > READY_LIMIT or (
                took > GIVE_UP and view.restarts - deaths >= TRIES
            )
            if hopeless and view.state not in {READY, STOPPED}:
                raise ConfigurationError(f"{view.instance} does not start: {view.why or 'it takes too long'}")
    finally:
        ready.cancel()
