"""A small program that ties a process to the life of its supervisor, enters a network namespace and changes the user if
needed, and then becomes the process (exec). Once in a namespace, it cannot enter another. It can be given files in
place of some of the system's: they are in memory, only it and its children find them, and they end with these.

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
from types import MappingProxyType

_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG."""
_NEW_NETWORK, _DROP, _SYS_ADMIN = 0x40000000, 24, 21
"""CLONE_NEWNET, PR_CAPBSET_DROP and CAP_SYS_ADMIN, which a process would need to enter another namespace."""
_NEW_MOUNTS, _REC, _SLAVE, _BIND, _DETACH = 0x20000, 0x4000, 0x80000, 0x1000, 2
_NO_SUID, _NO_DEV, _NO_EXEC = 2, 4, 8
"""CLONE_NEWNS, the flags MS_* of mount(2), and MNT_DETACH."""
_ANYWHERE = "/tmp"
"""The folder that the memory with the files is mounted on, for that moment."""
_NONE = -1
NO_FILES: Mapping[str, str] = MappingProxyType({})
_BECOME = f"""
import ctypes, os, signal, sys
parent, number, user, group, network, count = map(int, sys.argv[1:7])
files, words = sys.argv[7:7 + count], sys.argv[7 + count:]
libc = ctypes.CDLL(None, use_errno=True)
def mount(source, target, kind, flags):
    if libc.mount(source and os.fsencode(source), os.fsencode(target), kind, ctypes.c_ulong(flags), None):
        sys.exit("files of its own cannot be mounted: " + os.strerror(ctypes.get_errno()))
if files:
    if libc.unshare({_NEW_MOUNTS}):
        sys.exit("it cannot have files of its own: " + os.strerror(ctypes.get_errno()))
    mount(None, "/", None, {_REC | _SLAVE})
    mount("souk", "{_ANYWHERE}", b"tmpfs", {_NO_SUID | _NO_DEV | _NO_EXEC})
    for target, text in zip(files[::2], files[1::2]):
        own = os.path.join("{_ANYWHERE}", target.replace("/", "_"))
        with open(own, "w") as file:
            file.write(text)
        mount(own, target, None, {_BIND})
    libc.umount2(b"{_ANYWHERE}", {_DETACH})
if network >= 0:
    if libc.setns(network, {_NEW_NETWORK}) or libc.prctl({_DROP}, {_SYS_ADMIN}):
        sys.exit("its network namespace cannot be entered: " + os.strerror(ctypes.get_errno()))
    os.close(network)
if user:
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
if parent:
    libc.prctl({_DEATH_SIGNAL}, number)
    if os.getppid() != parent:
        sys.exit(1)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
os.execvp(words[0], words)
"""


def tied(
    user: struct_passwd | None, number: int, network: int | None = None, files: Mapping[str, str] = NO_FILES
) -> tuple[str, ...]:
    """Gives the words to put before a command so that it gets the signal `number` when this process ends, and runs
    as `user` unless that is None, in the network namespace of the descriptor `network`, which it must inherit.

    `files` are texts, by the path of an existing file, that it finds in place of that file.
    """
    return _launcher(os.getpid(), number, user, _NONE if network is None else network, files)


def with_files(files: Mapping[str, str]) -> tuple[str, ...]:
    """Gives the words to put before a command so that it finds these texts in place of the files of their paths."""
    return _launcher(0, signal.SIGTERM, None, _NONE, files)


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
    return () if user is None else _launcher(0, signal.SIGTERM, user, _NONE)


def _launcher(
    parent: int, number: int, user: struct_passwd | None, network: int, files: Mapping[str, str] = NO_FILES
) -> tuple[str, ...]:
    ids = (0, 0) if user is None else (user.pw_uid, user.pw_gid)
    given = [word for path, text in files.items() for word in (path, text)]
    return sys.executable, "-I", "-S", "-c", _BECOME, *map(str, (parent, number, *ids, network, len(given))), *given


def require_program(name: str, environment: Mapping[str, str]) -> None:
    """Checks for a program. Raises FileNotFoundError without it: the launcher could report that only in a traceback."""
    if shutil.which(name, path=environment.get("PATH", os.defpath)) is None:
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), name)
