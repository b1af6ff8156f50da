"""A small program that ties a process to the life of its supervisor, changes the user if needed, and then becomes
the process (exec).

A process that is tied gets its stop signal when its supervisor ends in whatever way, SIGKILL included
(PR_SET_PDEATHSIG of prctl(2)). The kernel clears that setting when the user changes, so it is set after that.

`subprocess` could do the same, but would then fork: gRPC's threads do not survive a fork, and the child sometimes
dies before it starts its program.

The program is Python, which answers SIGINT with a traceback, from its first moment on. SIGINT is PostgreSQL's stop
signal, so a fleet that is stopped while it starts would print one. `interrupts_held` keeps the signal away from the
program, which takes it when it becomes the process: that ends it silently, by the signal.
"""

import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
os.execvp(sys.argv[5], sys.argv[5:])
"""


def tied(user: struct_passwd | None, number: int) -> tuple[str, ...]:
    """Gives the words to put before a command so that it gets the signal `number` when this process ends, and runs
    as `user` unless that is None."""
    return _launcher(os.getpid(), number, user)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Starts processes in this block so that SIGINT reaches them only once the launcher has become the process.

    A process inherits which signals wait. This thread, too, gets its SIGINT after the block.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def as_user(user: struct_passwd | None) -> tuple[str, ...]:
    """Gives the words to put before a command so that it runs as that user; none if `user` is None."""
    return () if user is None else _launcher(0, signal.SIGTERM, user)


def _launcher(parent: int, number: int, user: struct_passwd | None) -> tuple[str, ...]:
    ids = (0, 0) if user is None else (user.pw_uid, user.pw_gid)
    return sys.executable, "-I", "-S", "-c", _BECOME, *map(str, (parent, number, *ids))


def require_program(name: str, environment: Mapping[str, str]) -> None:
    """Checks for a program. Raises FileNotFoundError without it: the launcher could report that only in a traceback."""
    if shutil.which(name, path=environment.get("PATH", os.defpath)) is None:
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), name)
