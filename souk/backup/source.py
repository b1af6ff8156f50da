"""Reads files of a data directory while a system may run on it: a file may be gone between its listing and its
reading."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from souk.kernel.errors import ConfigurationError

_CHUNK = 1 << 20
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700


def regular_files(data: Path, without: Collection[str] = ()) -> Iterator[Path]:
    """Gives the regular files below an existing folder, but not those in its subfolders with the names `without`.

    Folders and files below it may disappear meanwhile, also after they were given here.
    """
    with reading(data):
        yield from _below(data, without)


def _below(folder: Path, without: Collection[str] = ()) -> Iterator[Path]:
    with os.scandir(folder) as listing:
        entries = list(listing)
    for entry in entries:
        if entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
        elif entry.is_dir(follow_symlinks=False) and entry.name not in without:
            with suppress(FileNotFoundError, NotADirectoryError):
                yield from _below(Path(entry.path))


@contextmanager
def reading(data: Path) -> Iterator[None]:
    """Raises an OSError inside the block as a ConfigurationError that names the file that was read, and so not the
    copy's."""
    try:
        yield
    except OSError as error:
        where = os.fsdecode(error.filename) if error.filename else data
        raise ConfigurationError(f"{where} cannot be read: {(error.strerror or str(error)).lower()}") from None


def begins_with(path: Path, head: bytes) -> bool:
    """Tells whether a file exists and begins with `head`."""
    with reading(path):
        try:
            with path.open("rb") as file:
                return file.read(len(head)) == head
        except FileNotFoundError:
            return False


def copy_if_there(path: Path, target: Path, until: float) -> None:
    """Copies a file if it still exists and was not written after `until`, in seconds since 1970."""
    with reading(path):
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return
    with file:
        if os.fstat(file.fileno()).st_mtime <= until:
            _write(path, file, target)


def copy_file(path: Path, target: Path) -> None:
    """Copies a file, which must exist."""
    with reading(path):
        file = path.open("rb")
    with file:
        _write(path, file, target)


def _write(path: Path, file: BinaryIO, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=_PRIVATE_FOLDER)
    target.touch(mode=_PRIVATE_FILE)
    with target.open("wb") as copy:
        while chunk := _read(path, file):
            copy.write(chunk)


def _read(path: Path, file: BinaryIO) -> bytes:
    with reading(path):
        return file.read(_CHUNK)
