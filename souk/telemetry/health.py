"""What a process knows of its own health: named checks, since when each is as it is, and why.

What depends on something tells of it here, either by `report` when it happens to know, or by a probe that
`run` asks again and again. `souk ps` shows what is not well; GET /readyz?verbose names every check.

    health.report("clock", "42 s behind the database", blocks=True)     # not well; the process is not ready
    health.report("clock")                                              # well again
    health.watch("disk", probe)                                         # asked every few seconds
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from souk.kernel.clock import Clock

Probe = Callable[[], Awaitable[str]]
"""Says what is wrong, in a line; "" when all is well. What it raises is wrong, too."""

EVERY = 1.0
"""Seconds between two rounds of the probes."""
PATIENCE = 5.0
"""Seconds after which a probe that has not answered is held to have found something wrong."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a process depends on: "" in `detail` means that it is well.

    `since` is when it became so, in microseconds since 1970. `blocks` says that the process takes no requests
    while this is not well. `detail` is for operators: it may name hosts and paths.
    """

    name: str
    since: int
    detail: str = ""
    blocks: bool = False

    @property
    def well(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.detail


class Health:
    """The checks of one process, by name, in the order in which they were first told of."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._checks: dict[str, Check] = {}
        self._probes: dict[str, tuple[Probe, bool]] = {}

    def report(self, name: str, detail: str = "", *, blocks: bool = False) -> None:
        """Says how something is. `since` moves only when it becomes well, or stops being so."""
        before = self._checks.get(name)
        since = before.since if before is not None and before.well == (not detail) else self._clock.now()
        self._checks[name] = Check(name, since, detail, blocks)

    def watch(self, name: str, probe: Probe, *, blocks: bool = False) -> None:
        """Has `run` ask a probe; until it has answered, all is well."""
        self._probes[name] = probe, blocks
        self.report(name, blocks=blocks)

    def checks(self) -> tuple[Check, ...]:
        """Every check as it is now."""
        return tuple(self._checks.values())

    @property
    def ready(self) -> bool:
        """Whether nothing that blocks is wrong."""
        return all(check.well or not check.blocks for check in self._checks.values())

    async def check_all(self) -> None:
        """Asks every probe once."""
        await asyncio.gather(*(self._ask(name, *found) for name, found in list(self._probes.items())))

    async def run(self) -> None:
        """Asks the probes until it is cancelled."""
        while True:
            await self.check_all()
            await asyncio.sleep(EVERY)

    async def _ask(self, name: str, probe: Probe, blocks: bool) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                detail = await probe()
        except TimeoutError:
            detail = f"no answer within {PATIENCE:g} s"
        except Exception as error:
            detail = str(error).partition("\n")[0] or type(error).__name__
        self.report(name, detail, blocks=blocks)
