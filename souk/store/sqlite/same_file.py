"""Identifies files, to find out whether a path still leads to the file that was opened there."""

import os
from pathlib import Path


def identity_of(path: Path | str) -> tuple[int, int] | None:
    """Returns the device and the inode of the file at a path; None when there is none or it cannot be reached."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
