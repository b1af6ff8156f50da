"""The health of a process: named checks, the state of each, since when, and why.

Code that depends on something reports its state here, either by `report` when it learns of it, or by a probe that
`run` calls again and again. `souk ps` shows the checks that fail; GET /readyz?verbose names every check.

    health.report("clock", "42 s behind the database", blocks=True)     # fails; the process is not ready
    health.report("clock")                                              # passes again
    health.watch("disk", probe)                                         # called every `EVERY` seconds
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from souk.kernel.clock import Clock

Probe = Callable[[], Awaitable[str]]
"""Returns what is wrong, in one line, or "" when all is well. An exception counts as a failure, too."""

EVERY = 1.0
"""Seconds between two rounds of the probes."""
PATIENCE = 5.0
"""Seconds after which a probe that has not answered counts as failed."""


@dataclass(frozen=True, slots=True)
class Check:
    """The state of one thing that a process depends on; an empty `detail` means that it is well.

    `since` is when it became well or stopped being so, in microseconds since 1970. `blocks` means that the process
    takes no requests while the check fails. `detail` is for operators: it may name hosts and paths.
    """

    name: str
    since: int
    detail: str = ""
    blocks: bool = False

    @property
    def well(self) -> bool:
        """Whether the check passes."""
        return not self.detail


class Health:
    """The checks of one process, by name, in the order in which they were first reported."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._checks: dict[str, Check] = {}
        self._probes: dict[str, tuple[Probe, bool]] = {}

    def report(self, name: str, detail: str = "", *, blocks: bool = False) -> None:
        """Records the state of a check: `detail` is what is wrong, "" for nothing.

        `since` changes only when the check begins to pass or to fail.
        """
        before = self._checks.get(name)
        since = before.since if before is not None and before.well == (not detail) else self._clock.now()
        self._checks[name] = Check(name, since, detail, blocks)

    def watch(self, name: str, probe: Probe, *, blocks: bool = False) -> None:
        """Adds a probe for `run` to call; until its first answer the check passes."""
        self._probes[name] = probe, blocks
        self.report(name, blocks=blocks)

    def checks(self) -> tuple[Check, ...]:
        """Returns the present state of every check."""
        return tuple(self._checks.values())

    @property
    def ready(self) -> bool:
        """Whether the process can take requests: no check that blocks fails."""
        return all(check.well or not check.blocks for check in self._checks.values())

    async def check_all(self) -> None:
        """Calls every probe once, all at the same time."""
        await asyncio.gather(*(self._ask(name, *found) for name, found in list(self._probes.items())))

    async def run(self) -> None:
        """Calls the probes every `EVERY` seconds until it is cancelled."""
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
