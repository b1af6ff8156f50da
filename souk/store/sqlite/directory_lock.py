"""A lock by which a directory of SQLite files belongs to one process at a time."""

import fcntl
import os
from pathlib import Path

from souk.kernel.errors import ConfigurationError

_FILE = "souk.lock"


class DirectoryLock:
    """The lock on a directory, held until `release` or the end of the process, when the kernel releases it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Releases the lock, so that another process can take the directory; may be called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def lock_directory(path: Path) -> DirectoryLock:
    """Locks the directory for this process.

    Raises ConfigurationError when the directory is not writable, or when it is locked already. The lock is
    flock(2) on a file inside, so a second lock by the same process fails, too.
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
    """Whether a process holds the lock at this moment; False if the directory does not exist."""
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
