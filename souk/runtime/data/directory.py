"""The data directory: who may use it, and the secret of the installation in it.

A system of one process locks the directory, and the folder of each service in it. A service that runs in a
process of its own locks its folder alone.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from souk.kernel import private_files
from souk.kernel.errors import ConfigurationError
from souk.store.sqlite.directory_lock import lock_directory

SECRET_SIZE = 32
_PRIVATE_FOLDER = 0o700
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def make(folder: Path) -> Path:
    """Makes a directory that only its owner can read. Raises ConfigurationError, in one line, if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=_PRIVATE_FOLDER)
    except (FileExistsError, NotADirectoryError):
        raise ConfigurationError(f"{folder} is not a directory; choose another with --data") from None
    except OSError as error:
        raise unusable(folder, error) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise unusable(folder, PermissionError(errno.EACCES, ""))
    return folder


def private(folder: Path) -> Path:
    """Makes a folder that only its owner can enter, or makes an existing one so.

    Raises ConfigurationError, in one line, when it cannot be made or belongs to another user.
    """
    make(folder)
    found = folder.stat()
    if found.st_uid != os.geteuid():
        raise ConfigurationError(f"{folder} belongs to another user; choose another directory with --data")
    if stat.S_IMODE(found.st_mode) != _PRIVATE_FOLDER:
        folder.chmod(_PRIVATE_FOLDER)
    return folder


def unusable(folder: Path, error: OSError) -> ConfigurationError:
    """Makes the error, in one line, for a directory that cannot be written."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ConfigurationError(
            f"the disk that holds {folder} is full; free some space or choose another with --data"
        )
    return ConfigurationError(
        f"the data directory {folder} cannot be written ({os.strerror(error.errno or 0).lower()}); "
        "give this user the right, or choose another with --data"
    )


def make_closed(folder: Path) -> Path:
    """Makes the data directory. Raises ConfigurationError when others could write files there that we would trust.

    The function does not take their rights away: after a slip in --data the directory may be somebody else's.
    """
    make(folder)
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & _OTHERS_MAY_WRITE:
        raise ConfigurationError(
            f"other users may write to the data directory {folder} (mode {mode:04o}); close it with "
            f"`chmod go-w {folder}`, or choose another with --data"
        )
    return folder


@contextmanager
def held(folder: Path) -> Iterator[Path]:
    """Makes a directory and locks it for this process inside the block.

    Raises ConfigurationError when another process holds it, or when it cannot be used.
    """
    make_closed(folder)
    try:
        lock = lock_directory(folder)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}; stop what uses it, or choose another with --data") from None
    except OSError as error:
        raise unusable(folder, error) from None
    try:
        yield folder
    finally:
        lock.release()


def installation_secret(folder: Path) -> bytes:
    """Gives the secret of this installation, made at its first start and readable by its owner alone.

    Processes that start at the same time agree on one secret: each writes a file of its own, durably, and links it
    to the final name, which only the first can do.
    """
    path = folder / "secret"
    try:
        return _read_secret(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise unusable(folder, error) from None
    aside = folder / f".secret-{secrets.token_hex(8)}"
    try:
        private_files.write(private_files.create(aside), secrets.token_bytes(SECRET_SIZE))
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
        finally:
            aside.unlink()
        private_files.sync_folder(folder)
        return _read_secret(path)
    except OSError as error:
        raise unusable(folder, error) from None


def _read_secret(path: Path) -> bytes:
    found = path.read_bytes()
    if len(found) != SECRET_SIZE:
        raise ConfigurationError(f"{path} is damaged; remove it to have a new one made")
    return found
