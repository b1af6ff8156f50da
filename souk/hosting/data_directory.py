"""The data directory: who may use it, and what of it belongs to the installation as a whole.

A system of one process holds it alone. Services that run as processes of their own share it, and
each holds its own part. The locks are the operating system's (flock), so they end with the process,
however it ends.
"""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from souk.kernel.errors import ConfigurationError

SECRET_SIZE = 32
_PRIVATE_FILE = 0o600
_PRIVATE_FOLDER = 0o700


def make(folder: Path) -> Path:
    """Makes a directory that only its owner reads; raises ConfigurationError, in one line, if it cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=_PRIVATE_FOLDER)
    except (FileExistsError, NotADirectoryError):
        raise ConfigurationError(f"{folder} is not a directory; choose another with --data") from None
    except OSError as error:
        raise _unusable(folder, error) from None
    return folder


def _unusable(folder: Path, error: OSError) -> ConfigurationError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ConfigurationError(
            f"the disk that holds {folder} is full; free some space or choose another with --data"
        )
    return ConfigurationError(
        f"the data directory {folder} cannot be written ({os.strerror(error.errno or 0).lower()}); "
        "give this user the right, or choose another with --data"
    )


@contextmanager
def _lock(path: Path, *, alone: bool) -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE_FILE)
    except OSError as error:
        raise _unusable(path.parent, error) from None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
            raise _unusable(path.parent, error) from None
        raise ConfigurationError(
            f"{path.with_suffix('')} is in use by another Souk; stop that one, or choose another directory with --data"
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def held_alone(folder: Path) -> Iterator[Path]:
    """Holds the whole directory for one process; raises ConfigurationError when another has it."""
    with _lock(make(folder) / "souk.lock", alone=True):
        yield folder


@contextmanager
def held_for(folder: Path, service: str) -> Iterator[Path]:
    """Holds one service's part, beside processes that hold others."""
    with ExitStack() as stack:
        stack.enter_context(_lock(make(folder) / "souk.lock", alone=False))
        stack.enter_context(_lock(folder / f"{service}.lock", alone=True))
        yield folder


def installation_secret(folder: Path) -> bytes:
    """The secret of this installation, made at its first start and readable by its owner alone.

    Processes that start at once agree on one: it is written aside, durably, and then linked into
    place, which only the first can do.
    """
    path = folder / "secret"
    try:
        return _read_secret(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _unusable(folder, error) from None
    aside = folder / f".secret-{secrets.token_hex(8)}"
    try:
        _write_durably(aside, secrets.token_bytes(SECRET_SIZE))
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
        finally:
            aside.unlink()
        return _read_secret(path)
    except OSError as error:
        raise _unusable(folder, error) from None


def _read_secret(path: Path) -> bytes:
    found = path.read_bytes()
    if len(found) != SECRET_SIZE:
        raise ConfigurationError(f"{path} is damaged; remove it to have a new one made")
    return found


def _write_durably(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
