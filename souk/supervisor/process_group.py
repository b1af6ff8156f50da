"""The process group that a fleet is, so that killing the group ends every service and engine.

On a terminal Ctrl-C goes to every process of the foreground group: PostgreSQL would shut down while
services still drain. There the supervisor works in a group of its own, behind this process, which
stays in the foreground, passes signals on and ends with it.
"""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from types import FrameType

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGWINCH)
_SET_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def lead() -> None:
    """Makes this process the leader of a group; on a terminal, a copy of it, and this one waits for the copy's end.

    Call it before there are threads or event loops.
    """
    if _has_terminal():
        _go_behind()
    elif os.getpid() != os.getpgrp():
        os.setpgid(0, 0)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _go_behind() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    supervisor = os.fork()
    if supervisor:
        os._exit(_wait_for(supervisor))
    os.setpgid(0, 0)
    # Whoever kills the process in front means the fleet: it is then asked to end.
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def _wait_for(supervisor: int) -> int:
    def pass_on(number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(supervisor, number)

    for number in _PASSED_ON:
        signal.signal(number, pass_on)
    status = os.waitstatus_to_exitcode(os.waitpid(supervisor, 0)[1])
    return status if status >= 0 else 128 - status
