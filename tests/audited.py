"""Calls a test's function before this process touches files, by Python's audit events, so that it can interfere
there."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Watch = Callable[[str, Path], None]
_watches: list[Watch] = []
_installed: list[bool] = []


@contextmanager
def audited(watch: Watch) -> Iterator[None]:
    """Calls `watch` with the event and the path before each event about a path, inside the block."""
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_hook)  # there is no way to remove one
    _watches.append(watch)
    try:
        yield
    finally:
        _watches.remove(watch)


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _watches and arguments and isinstance(arguments[0], str | bytes | os.PathLike):
        for watch in tuple(_watches):
            watch(event, Path(os.fsdecode(arguments[0])))
