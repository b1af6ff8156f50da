"""What the kernel tells of a process in /proc: its memory and CPU, and an identity that tells it from a later process
with the same number."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_PROC = Path("/proc")
_KERNEL = re.compile(r"(\d+)\.(\d+)")
_STATE, _PARENT, _STARTED, _TIMES = 0, 1, 19, slice(11, 15)
"""Positions of fields of /proc/PID/stat after the command's name (proc_pid_stat(5): fields 3, 4, 22, and 14 to 17)."""
_ENDED = frozenset("ZX")


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """The identity of a process: its number, when it started (clock ticks after boot), and its command line."""

    pid: int
    started: int
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProcEntry:
    """A process as /proc/PID/stat has it.

    `started` is in clock ticks after boot; `state` is a letter, Z if it has ended and waits to be collected. `ticks`
    are the clock ticks of CPU that it and the children that it has collected have used.
    """

    pid: int
    parent: int
    started: int
    state: str
    ticks: int = field(compare=False)


def _entry(pid: int) -> ProcEntry | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The command's name is in parentheses, and may contain any bytes: parentheses too, and half of a character.
    fields = stat.rpartition(b")")[2].decode().split()
    return ProcEntry(pid, int(fields[_PARENT]), int(fields[_STARTED]), fields[_STATE], sum(map(int, fields[_TIMES])))


def identity(pid: int) -> ProcessIdentity | None:
    """Returns the process of that number; None if there is none, or if it has ended and waits to be collected."""
    entry = _entry(pid)
    if entry is None or entry.state in _ENDED:
        return None
    try:
        command = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return None
    words = command.removesuffix(b"\0").split(b"\0")
    return ProcessIdentity(pid, entry.started, tuple(word.decode(errors="replace") for word in words))


def children(parent: int) -> list[ProcEntry]:
    """Lists the processes whose parent is `parent`, including those that have ended and wait to be collected."""
    entries = (_entry(int(folder.name)) for folder in _PROC.glob("[0-9]*"))
    return [entry for entry in entries if entry is not None and entry.parent == parent]


def cpu_seconds(pid: int) -> float:
    """Returns the seconds of CPU that a process and its descendants have used; 0 when there is no such process."""
    entries = (_entry(member) for member in _family(pid))
    return sum(entry.ticks for entry in entries if entry is not None) / os.sysconf("SC_CLK_TCK")


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
    return sum(map(_share, _family(pid)))


def _share(pid: int) -> int:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _family(pid: int) -> Iterator[int]:
    """Gives a process and its descendants. A child belongs to the thread that started it, so every thread is asked."""
    yield pid
    threads = _PROC / str(pid) / "task"
    with suppress(OSError):
        for thread in os.listdir(threads):
            for child in _of_thread(threads / thread):
                yield from _family(int(child))


def _of_thread(folder: Path) -> list[str]:
    try:
        return (folder / "children").read_text().split()
    except OSError:
        return []
