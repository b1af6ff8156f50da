"""Whether a path still leads to the file that was opened there."""

import os
from pathlib import Path


def identity_of(path: Path | str) -> tuple[int, int] | None:
    """The device and the inode that a path leads to now; None when nothing can be reached there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
