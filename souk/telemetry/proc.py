"""What the kernel tells of a process in /proc: its memory and CPU, and an identity that tells it from a later process
with the same number."""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_KERNEL = re.compile(r"(\d+)\.(\d+)")
_STATE, _PARENT, _STARTED, _TIMES = 0, 1, 19, slice(11, 15)
"""Positions of fields of /proc/PID/stat after the command's name (proc_pid_stat(5): fields 3, 4, 22, and 14 to 17)."""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """The identity of a process: its number, when it started (clock ticks after boot), and its command line."""

    pid: int
    started: int
    command: tuple[str, ...]


def identity(pid: int) -> ProcessIdentity | None:
    """Returns the process of that number; None if there is none, or if it has ended and waits to be collected."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
        command = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return None
    # The command's name is in parentheses, and may contain parentheses.
    fields = stat.rpartition(")")[2].split()
    if fields[_STATE] in {"Z", "X"}:
        return None
    words = command.removesuffix(b"\0").split(b"\0")
    return ProcessIdentity(pid, int(fields[_STARTED]), tuple(word.decode(errors="replace") for word in words))


@dataclass(frozen=True, slots=True)
class ProcEntry:
    """A child of another process. `started` is in clock ticks after boot; `state` is a letter, Z if it has ended."""

    pid: int
    started: int
    state: str


def children(parent: int) -> list[ProcEntry]:
    """Lists the processes whose parent is `parent`, including those that have ended and wait to be collected."""
    found = []
    for folder in _PROC.glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[_PARENT]) == parent:
                found.append(ProcEntry(int(folder.name), int(fields[_STARTED]), fields[_STATE]))
    return found


def cpu_seconds(pid: int) -> float:
    """Returns the seconds of CPU that a process and its descendants have used; 0 when there is no such process."""
    folder = _PROC / str(pid)
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        below = (folder / "task" / str(pid) / "children").read_text().split()
    except OSError:
        return 0.0
    own = sum(map(int, fields[_TIMES])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in below)


def boot() -> str:
    """Returns the id of this boot of the machine: process numbers and ticks of another boot mean nothing."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def kernel() -> tuple[int, int]:
    """Returns the kernel's version as major and minor number; zeros when it cannot be read from its text."""
    found = _KERNEL.match((_PROC / "sys/kernel/osrelease").read_text())
    return (int(found[1]), int(found[2])) if found else (0, 0)


def resident_bytes(statm: Path = _PROC / "self/statm") -> int:
    """Returns the bytes of memory that a process has in use, including what it shares with others."""
    try:
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def family_bytes(pid: int) -> int:
    """Returns the bytes of memory of a process and its descendants, each with its share of shared memory (Pss)."""
    return _share(pid) + sum(family_bytes(child) for child in _children(pid))


def _share(pid: int) -> int:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _children(pid: int) -> list[int]:
    threads = _PROC / str(pid) / "task"
    with suppress(OSError):
        return [int(child) for thread in os.listdir(threads) for child in _of_thread(threads / thread)]
    return []


def _of_thread(folder: Path) -> list[str]:
    try:
        return (folder / "children").read_text().split()
    except OSError:
        return []
