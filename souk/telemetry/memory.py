"""Memory of processes, as Linux counts it; 0 where there is no /proc to ask."""

import os
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def resident_bytes(statm: Path = _PROC / "self/statm") -> int:
    """Memory that a process has in use, what it shares with others included."""
    try:
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def family_bytes(pid: int) -> int:
    """Memory of a process and those it started; each one's share of what they share (Linux: Pss)."""
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
