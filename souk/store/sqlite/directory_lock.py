"""A directory of SQLite files belongs to one process at a time."""

import fcntl
import os
from pathlib import Path

from souk.kernel.errors import ConfigurationError

_FILE = "souk.lock"


class DirectoryLock:
    """Held until `release`, or until the process ends, however it ends: the kernel lets go of it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Lets another process have the directory; may be called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def lock_directory(path: Path) -> DirectoryLock:
    """Takes the directory for this process.

    Raises ConfigurationError when it is not writable, or when another process has it. The lock is
    flock(2) on a file inside, so it also holds between two locks of one process.
    """
    try:
        descriptor = os.open(path / _FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(f"directory {path} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise ConfigurationError(f"directory {path} is in use by process {holder}") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    return DirectoryLock(descriptor)


def is_held(path: Path) -> bool:
    """Whether a process has the directory, which may not be there, at this moment."""
    try:
        descriptor = os.open(path / _FILE, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
