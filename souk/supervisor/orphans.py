"""What processes of the fleet have started themselves, and left behind: it comes to the supervisor.

A process whose parent ends is given to the nearest ancestor that asked for that (PR_SET_CHILD_SUBREAPER of
prctl(2)). So whatever was started below a supervisor is known to it as a child, recorded or not.
"""

import asyncio
import ctypes
import os
import signal
from contextlib import suppress

from souk.telemetry.proc import Child, children

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
    before: set[Child] = set()
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


def _collect(child: Child) -> None:
    with suppress(ChildProcessError):
        os.waitpid(child.pid, os.WNOHANG)
