"""What processes of the fleet have started themselves, and left behind: it comes to the supervisor.

A process whose parent ends is given to the nearest ancestor that asked for that (PR_SET_CHILD_SUBREAPER of
prctl(2)). So whatever was started below a supervisor is known to it as a child, recorded or not. What a
supervisor that was killed has left behind is in its record, and ended by the next one.
"""

import asyncio
import ctypes
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from souk.admin.process_record import Started, surviving
from souk.admin.process_status import ENGINE
from souk.telemetry.proc import ProcEntry, children

_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER."""
EVERY = 5.0
"""Seconds between two looks for orphans that have ended."""
_POLL = 0.02
_ENDED = "Z"


def adopt() -> None:
    """From now on this process is the parent of what its descendants leave behind."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)


async def collect() -> None:
    """Collects orphans that have ended, until it is cancelled.

    Whoever started a child collects it at once; what was seen ended at two looks is nobody's.
    """
    before: set[ProcEntry] = set()
    while True:
        ended = {child for child in children(os.getpid()) if child.state == _ENDED}
        for child in ended & before:
            _collect(child)
        before = ended - before
        await asyncio.sleep(EVERY)


async def end_all() -> None:
    """Kills every child of this process, and what those leave behind; returns when there is none."""
    while left := children(os.getpid()):
        for child in left:
            if child.state == _ENDED:
                _collect(child)
            else:
                with suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)
        await asyncio.sleep(_POLL)


def _collect(child: ProcEntry) -> None:
    with suppress(ChildProcessError):
        os.waitpid(child.pid, os.WNOHANG)


SERVICES_LIMIT = 2.0
"""Seconds for services: what they answered is on disk, so nothing is lost by not waiting longer."""
ENGINES_LIMIT = 20.0
"""Seconds for engines, which write down what they have in memory."""


async def end(left: Sequence[Started]) -> None:
    """Asks them to end, services before the engines they stand on; kills what does not."""
    engines = [one for one in left if one.kind == ENGINE]
    await _end_in_time([one for one in left if one.kind != ENGINE], SERVICES_LIMIT)
    await _end_in_time(engines, ENGINES_LIMIT)


async def _end_in_time(left: list[Started], limit: float) -> None:
    for one in left:
        _send(one, one.signal)
    loop = asyncio.get_running_loop()
    until = loop.time() + limit
    while remaining := surviving(left):
        if loop.time() > until:
            for one in remaining:
                _send(one, signal.SIGKILL)
            until += limit
        await asyncio.sleep(_POLL)


def _send(one: Started, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(one.process.pid, number)
