"""What was found for paths that were asked for lately, so that the path that all ask for is looked up once."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_MOST = 1024
"""Paths that are known at a time; one more, and all are forgotten: a walk over many paths costs little more than
looking each up."""
_LONGEST = 256
"""Characters of a path that is remembered, so that a client cannot fill the memory."""


class KnownPaths(Generic[T]):
    """Remembers what `find` returns for a path, which must not change until `forget`."""

    __slots__ = ("_find", "_found")

    def __init__(self, find: Callable[[str], T]) -> None:
        self._find = find
        self._found: dict[str, T] = {}

    def of(self, path: str) -> T:
        """Returns what `find` returns for a path."""
        known = self._found
        if path in known:
            return known[path]
        found = self._find(path)
        if len(path) <= _LONGEST:
            if len(known) >= _MOST:
                known.clear()
            known[path] = found
        return found

    def forget(self) -> None:
        """Forgets everything."""
        self._found.clear()
