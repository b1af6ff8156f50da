"""A replica set: all processes of one service, or of one engine."""

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


class ReplicaSet:
    """`replicas` processes, numbered from 1; `spec` gives the spec of the process with a number."""

    def __init__(
        self, name: str, kind: str, replicas: int, spec: Callable[[int], ProcessSpec], context: SupervisorContext
    ) -> None:
        self.name, self.kind = name, kind
        self._spec_of, self._context = spec, context
        self._stopped = False
        self._changing = asyncio.Lock()
        self._processes: dict[int, ManagedProcess] = {}
        for _ in range(replicas):
            self._make()

    def __len__(self) -> int:
        return len(self._processes)

    @property
    def views(self) -> list[ProcessView]:
        """The state of each process, in the order of their numbers."""
        return [process.view for _, process in sorted(self._processes.items())]

    def begin(self) -> None:
        """Starts every process, without waiting."""
        for process in self._processes.values():
            process.start()

    async def ready(self) -> None:
        """Waits until every process takes calls, however long it takes."""
        await asyncio.gather(*(process.ready() for process in self._processes.values()))

    async def attempted(self) -> None:
        """Waits until every process has taken calls once, or died."""
        await asyncio.gather(*(process.attempted() for process in self._processes.values()))

    async def come_up(self) -> None:
        """Waits until every process takes calls. Raises ConfigurationError when one does not come up."""
        await asyncio.gather(*(_come_up(process) for process in self._processes.values()))

    async def scale(self, replicas: int) -> None:
        """Sets the number of processes; returns when new ones are ready, or the surplus has drained.

        Raises ConfigurationError when a new one does not come up: then there are as many as before.
        """
        async with self._changing:
            new = [self._make() for _ in range(replicas - len(self._processes))]
            if self._stopped:
                await asyncio.gather(*(process.stop(0) for process in new))
            else:
                await self._bring_up(new)
            surplus = sorted(self._processes)[replicas:]
            await asyncio.gather(*(self._dismiss(number, DRAIN_LIMIT) for number in surplus))

    async def roll(self, progress: Callable[[str], None]) -> None:
        """Replaces the processes one by one: a new one is ready before an old one drains."""
        async with self._changing:
            self._require_started()
            for number in sorted(self._processes):
                new = self._make()
                await self._bring_up([new])
                progress(f"{new.view.instance} is ready on {new.view.address}")
                old = self._processes[number].view.instance
                await self._dismiss(number, DRAIN_LIMIT)
                progress(f"{old} has drained and stopped")

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
        for process in self._processes.values():
            process.close()

    def kill(self) -> None:
        """Kills every process at once."""
        for process in self._processes.values():
            process.kill()

    def _make(self) -> ManagedProcess:
        number = next_number(self._processes)
        process = self._processes[number] = ManagedProcess(self._spec_of(number), self._context)
        return process

    async def _dismiss(self, number: int, limit: float) -> None:
        process = self._processes[number]
        await process.stop(limit)
        del self._processes[number]
        process.close()
        self._context.on_state(process.view)

    async def _halt(self, limit: float) -> None:
        await asyncio.gather(*(process.stop(limit) for process in self._processes.values()))

    async def _go_on(self) -> None:
        self.begin()
        await self.come_up()

    async def _bring_up(self, new: list[ManagedProcess]) -> None:
        """Starts new processes; removes them all again if one of them does not come up."""
        for process in new:
            process.start()
        try:
            await asyncio.gather(*(_come_up(process) for process in new))
        except BaseException:
            numbers = [number for number, process in self._processes.items() if process in new]
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
