"""Puts a fleet into one process group, so that killing the group ends every service and engine.

On a terminal Ctrl-C goes to every process of the foreground group: PostgreSQL would shut down while
services still drain. So on a terminal the supervisor is a copy of this process in a group of its own; this
process stays in the foreground, passes signals on to the supervisor and ends when it does.
"""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from types import FrameType

from souk.runtime.process.signals import has_terminal

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGWINCH)
_SET_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def lead() -> None:
    """Makes this process the leader of a group; on a terminal, forks a copy that leads one, and waits for its end.

    Call it before there are threads or event loops.
    """
    if has_terminal():
        _go_behind()
    elif os.getpid() != os.getpgrp():
        os.setpgid(0, 0)


def _go_behind() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    supervisor = os.fork()
    if supervisor:
        os._exit(_wait_for(supervisor))
    os.setpgid(0, 0)
    # Killing the foreground process means the fleet: the supervisor then gets SIGTERM.
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
