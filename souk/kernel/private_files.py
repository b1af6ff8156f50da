"""Files that only their owner can read, and files that are replaced atomically."""

import os
import secrets
from pathlib import Path

PRIVATE = 0o600
PRIVATE_FOLDER = 0o700


def create(path: Path) -> int:
    """Creates a file and returns a descriptor to write to it. Raises FileExistsError if the file exists."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)


def create_empty(path: Path) -> None:
    """Creates an empty file for others to fill. Raises FileExistsError if the file exists."""
    os.close(create(path))


def write(descriptor: int, content: bytes, *, durable: bool = True) -> None:
    """Writes all of `content`, waits for the disk if it is to be `durable`, and closes the descriptor."""
    # Few system calls: in a thread beside a busy event loop, each of them waits for the interpreter again.
    try:
        while content:
            content = content[os.write(descriptor, content) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk: until then a loss of power may take back a new one."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(
    path: Path, content: bytes, *, aside: Path | None = None, durable: bool = True, folder_later: bool = False
) -> None:
    """Replaces the file at `path` atomically: whatever happens meanwhile, it has either the old or the new content.

    The content goes to another file first, which is then renamed. Without `aside` that file has a random name, so any
    number of writers may run at once. With `aside` it has that name, for a single writer, and what an earlier run left
    there is removed. If it is to be `durable`, the new content is on the disk afterwards, under its name; with
    `folder_later` only once the caller calls `sync_folder`, for many files at once. Raises OSError, and then leaves no
    other file behind.
    """
    if aside is None:
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    else:
        aside.unlink(missing_ok=True)
    descriptor = create(aside)
    try:
        write(descriptor, content, durable=durable)
        os.replace(aside, path)
        if durable and not folder_later:
            sync_folder(path.parent)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
