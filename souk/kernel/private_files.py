"""Files that only their owner can read, and files that are replaced whole or not at all."""

import os
import secrets
from pathlib import Path

PRIVATE = 0o600
PRIVATE_FOLDER = 0o700


def create(path: Path) -> int:
    """Makes a file, and gives a descriptor to write to it. Raises FileExistsError for one that is there."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)


def create_empty(path: Path) -> None:
    """Makes a file for others to fill. Raises FileExistsError for one that is there."""
    os.close(create(path))


def write(descriptor: int, content: bytes, *, durable: bool = True) -> None:
    """Writes everything, waits for the disk where it is to be `durable`, and closes the descriptor."""
    # Few and plain calls: next to a busy event loop, each waits for its turn to go on.
    try:
        while content:
            content = content[os.write(descriptor, content) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, content: bytes, *, aside: Path | None = None, durable: bool = True) -> None:
    """Puts a file in the place of what is there, whole or not at all, whatever happens meanwhile.

    It is written beside it first: under a name of its own, so that any number may write at once, or as `aside`, which
    is one writer's, so that what an earlier one left is taken away. Raises OSError, and leaves nothing then.
    """
    if aside is None:
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    else:
        aside.unlink(missing_ok=True)
    descriptor = create(aside)
    try:
        write(descriptor, content, durable=durable)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
