"""Orphans: processes that processes of the fleet have started and left behind.

A process whose parent ends gets as its parent the nearest ancestor that asked for that (PR_SET_CHILD_SUBREAPER of
prctl(2)). So the supervisor finds every orphan below it among its children, recorded or not. The processes that a
killed supervisor has left behind are in its record, and the next supervisor ends them.
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
"""Seconds between two checks for orphans that have ended."""
_POLL = 0.02
_ENDED = "Z"


def adopt() -> None:
    """Makes this process the parent of its descendants' orphans from now on."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)


async def collect() -> None:
    """Collects orphans that have ended (waits for them, so that no zombie stays), until it is cancelled.

    The code that started a child collects it at once, so a child that had ended at two checks is an orphan.
    """
    before: set[ProcEntry] = set()
    while True:
        ended = {child for child in children(os.getpid()) if child.state == _ENDED}
        for child in ended & before:
            _collect(child)
        before = ended - before
        await asyncio.sleep(EVERY)


async def end_all() -> None:
    """Kills every child of this process, and the orphans of those; returns when there is none left."""
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
"""Seconds for services: what they have answered is on disk, so no longer wait is needed."""
ENGINES_LIMIT = 20.0
"""Seconds for engines, which must write to disk what they have in memory."""


async def end(left: Sequence[Started]) -> None:
    """Asks processes to end, services before the engines that they need; kills those that do not end in time."""
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
