"""Asks for alarms again and again, and keeps nobody waiting for processes that are slow to answer."""

import asyncio

from souk.kernel.clock import Clock
from souk.kernel.errors import SoukError
from souk.mesh.canary.ports import CanaryAlarms
from souk.mesh.canary.steering.record import CanaryRecord

ALARMS_EVERY = 2.0
"""Seconds between two questions for alarms."""
AWAITED = 0.5
"""Seconds for which an answer is awaited; one that takes longer is there the next time."""


class AlarmWatch:
    """Watches over one canary. `trouble` says why it is not known whether there is an alarm; it is empty if it is."""

    def __init__(self, alarms: CanaryAlarms, clock: Clock) -> None:
        self.trouble = ""
        self._alarms, self._clock = alarms, clock
        self._asking: asyncio.Task[tuple[str, ...]] | None = None
        self._due = 0.0

    async def raised(self, record: CanaryRecord) -> tuple[str, ...]:
        """Gives what a question has found that has ended now; nothing between two questions."""
        now = self._clock.monotonic()
        if self._asking is None:
            if now < self._due:
                return ()
            self._due = now + ALARMS_EVERY
            self._asking = asyncio.create_task(self._alarms.raised(record.plan.release, record.began))
        await asyncio.wait({self._asking}, timeout=AWAITED)
        if not self._asking.done():
            self.trouble = "it is not known yet whether sagas are parked or invariants broken: the fleet is slow to say"
            return ()
        asked, self._asking = self._asking, None
        try:
            found, self.trouble = asked.result(), ""
        except SoukError as error:
            found, self.trouble = (), f"it is not known whether sagas are parked or invariants broken: {error}"
        return found

    async def close(self) -> None:
        """Ends a question that is under way."""
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
