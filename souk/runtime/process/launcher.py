"""The program between: it ties a process to the life of its supervisor, gives up root if it has to, and becomes it.

A process that is tied gets its signal to stop when its supervisor ends in whatever way, SIGKILL included
(PR_SET_PDEATHSIG of prctl(2)). The kernel forgets that when the user changes, so it comes after that.

Not by `subprocess`, which then would fork: gRPC's threads do not survive that, and the child dies now and then
before it becomes what it is to be.
"""

import os
import shutil
import signal
import sys
from collections.abc import Mapping
from errno import ENOENT
from pwd import struct_passwd

_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG."""
_BECOME = f"""
import ctypes, os, signal, sys
parent, number, user, group = map(int, sys.argv[1:5])
if user:
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
if parent:
    ctypes.CDLL(None).prctl({_DEATH_SIGNAL}, number)
    if os.getppid() != parent:
        sys.exit(1)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
os.execvp(sys.argv[5], sys.argv[5:])
"""


def tied(user: struct_passwd | None, number: int) -> tuple[str, ...]:
    """What stands before the words of a command, so that it gets the signal `number` when this process has ended."""
    return _launcher(os.getpid(), number, user)


def as_user(user: struct_passwd | None) -> tuple[str, ...]:
    """What stands before the words of a command, so that it runs as that user; None changes nothing."""
    return () if user is None else _launcher(0, signal.SIGTERM, user)


def _launcher(parent: int, number: int, user: struct_passwd | None) -> tuple[str, ...]:
    ids = (0, 0) if user is None else (user.pw_uid, user.pw_gid)
    return sys.executable, "-I", "-S", "-c", _BECOME, *map(str, (parent, number, *ids))


def require_program(name: str, environment: Mapping[str, str]) -> None:
    """Raises FileNotFoundError when there is no such program: the launcher could only say so in a traceback."""
    if shutil.which(name, path=environment.get("PATH", os.defpath)) is None:
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), name)
