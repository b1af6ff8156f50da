"""All processes of one service, or of one engine."""

import asyncio
from collections.abc import Callable

from souk.admin.process_status import READY, STOPPED, ProcessView
from souk.kernel.errors import ConfigurationError
from souk.supervisor.capacity import next_number
from souk.supervisor.managed_process import Slot
from souk.supervisor.process_spec import Blueprint, Ground

READY_LIMIT = 60.0
"""Seconds without progress after which whoever asked for a new process is told that it does not come up."""
TRIES = 3
GIVE_UP = 5.0
"""Deaths of a new process, and seconds, after which that is told earlier. PostgreSQL may have to wait for what is
left of one that was killed."""
DRAIN_LIMIT = 25.0
"""Seconds a process is given to finish what it does, when it alone is asked to end."""


class Part:
    """`replicas` processes, numbered from 1; `blueprint` says how the process of a number is made."""

    def __init__(
        self, name: str, kind: str, replicas: int, blueprint: Callable[[int], Blueprint], ground: Ground
    ) -> None:
        self.name, self.kind = name, kind
        self._blueprint, self._ground = blueprint, ground
        self._stopped = False
        self._changing = asyncio.Lock()
        self._slots: dict[int, Slot] = {}
        for _ in range(replicas):
            self._make()

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def views(self) -> list[ProcessView]:
        """Its processes, by number."""
        return [slot.view for _, slot in sorted(self._slots.items())]

    def begin(self) -> None:
        """Starts every process, and waits for none."""
        for slot in self._slots.values():
            slot.start()

    async def ready(self) -> None:
        """Waits until every process takes calls, however long it takes."""
        await asyncio.gather(*(slot.ready() for slot in self._slots.values()))

    async def attempted(self) -> None:
        """Waits until every process has taken calls once, or died."""
        await asyncio.gather(*(slot.attempted() for slot in self._slots.values()))

    async def come_up(self) -> None:
        """Waits until every process takes calls; raises ConfigurationError when one does not come up."""
        await asyncio.gather(*(_come_up(slot) for slot in self._slots.values()))

    async def scale(self, replicas: int) -> None:
        """Returns when the new ones are ready, or the surplus has drained."""
        async with self._changing:
            new = [self._make() for _ in range(replicas - len(self._slots))]
            if self._stopped:
                await asyncio.gather(*(slot.stop(0) for slot in new))
            else:
                await self._bring_up(new)
            surplus = sorted(self._slots)[replicas:]
            await asyncio.gather(*(self._dismiss(number, DRAIN_LIMIT) for number in surplus))

    async def roll(self, progress: Callable[[str], None]) -> None:
        """Replaces the processes one by one: a new one is ready before an old one drains."""
        async with self._changing:
            self._require_started()
            for number in sorted(self._slots):
                new = self._make()
                await self._bring_up([new])
                progress(f"{new.view.instance} is ready on {new.view.address}")
                old = self._slots[number].view.instance
                await self._dismiss(number, DRAIN_LIMIT)
                progress(f"{old} has drained and stopped")

    async def bounce(self, progress: Callable[[str], None]) -> None:
        """Stops every process and starts it again, for what there may be only one of."""
        async with self._changing:
            self._require_started()
            await self._halt(DRAIN_LIMIT)
            progress(f"{self.name} has stopped")
            await self._go_on()
            progress(f"{self.name} is ready")

    async def stop(self, limit: float = DRAIN_LIMIT) -> None:
        """Ends every process; they stay in their places until `start`."""
        async with self._changing:
            self._stopped = True
            await self._halt(limit)

    async def start(self) -> None:
        """Starts what was stopped; returns when it is ready."""
        async with self._changing:
            if self._stopped:
                self._stopped = False
                await self._go_on()

    async def end(self, limit: float) -> None:
        """Ends every process for good, whatever else is being done."""
        await self._halt(limit)
        for slot in self._slots.values():
            slot.close()

    def kill(self) -> None:
        """Ends every process at once."""
        for slot in self._slots.values():
            slot.kill()

    def _make(self) -> Slot:
        number = next_number(self._slots)
        slot = self._slots[number] = Slot(self._blueprint(number), self._ground)
        return slot

    async def _dismiss(self, number: int, limit: float) -> None:
        slot = self._slots[number]
        await slot.stop(limit)
        del self._slots[number]
        slot.close()
        self._ground.told(slot.view)

    async def _halt(self, limit: float) -> None:
        await asyncio.gather(*(slot.stop(limit) for slot in self._slots.values()))

    async def _go_on(self) -> None:
        self.begin()
        await self.come_up()

    async def _bring_up(self, new: list[Slot]) -> None:
        """Starts new ones; takes them away again if one of them does not come up."""
        for slot in new:
            slot.start()
        try:
            await asyncio.gather(*(_come_up(slot) for slot in new))
        except BaseException:
            numbers = [number for number, slot in self._slots.items() if slot in new]
            await asyncio.gather(*(self._dismiss(number, 0) for number in numbers))
            raise

    def _require_started(self) -> None:
        if self._stopped:
            raise ConfigurationError(f"{self.name} is stopped; start it with `souk start {self.name}`")


async def _come_up(slot: Slot) -> None:
    """Waits until it takes calls; raises ConfigurationError when it dies again and again, or takes too long."""
    ready = asyncio.ensure_future(slot.ready())
    deaths = slot.view.restarts
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        while not ready.done():
            await asyncio.wait({ready}, timeout=0.1)
            view, took = slot.view, loop.time() - began
            hopeless = min(took, slot.idle_for()) > READY_LIMIT or (took > GIVE_UP and view.restarts - deaths >= TRIES)
            if hopeless and view.state not in {READY, STOPPED}:
                raise ConfigurationError(f"{view.instance} does not start: {view.why or 'it takes too long'}")
    finally:
        ready.cancel()
