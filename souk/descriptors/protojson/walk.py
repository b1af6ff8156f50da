"""The state of reading one JSON value: the reader's position, and the violations so far.

A location is a chain of tuples `(parent, label, depth)`; a label is a field's name, an index, or a map's
key. Chains cost next to nothing, and are turned into a path only for a violation.
"""

from typing import Any, TypeAlias

from souk.kernel.errors import Violation

MAX_DEPTH = 30
"""Levels of nesting in a request. A level of Struct is three levels of protobuf, which stops at 100."""

MAX_VIOLATIONS = 100
"""The most violations in one answer, so that a wrong body of 1 MiB does not cause an answer of many MiB."""

LONGEST_NAME = 100
"""The most characters that an answer repeats of a name or a text that a client sent."""

JsonLocation: TypeAlias = tuple[Any, str | int, int]
"""A location `(parent, label, depth)`; `parent` is a JsonLocation or None."""

ROOT: JsonLocation = (None, "", 0)


class Walk:
    """One reading of a JSON value: counts the keys read, and collects violations under their JSON paths.

    Once it is `full`, readers stop, because a wrong body of 1 MiB would block all other requests.
    """

    __slots__ = ("full", "keys", "violations")

    def __init__(self) -> None:
        self.keys = 0
        self.full = False
        self.violations: list[Violation] = []

    def refuse(self, parent: JsonLocation | None, label: str | int, detail: str) -> Any:
        """Records that the value at `label` under `parent` is wrong; returns None for the reader to return."""
        if not self.full:
            self.violations.append(Violation(path_of(parent, label), detail))
            self.full = len(self.violations) >= MAX_VIOLATIONS


def path_of(parent: JsonLocation | None, label: str | int) -> str:
    """Returns a location as text, such as `items[0].quantity`; `body` for the request itself."""
    labels = [label]
    while parent is not None:
        labels.append(parent[1])
        parent = parent[0]
    path = ""
    for part in reversed(labels):
        if isinstance(part, int):
            path += f"[{part}]"
        elif part:
            path += f".{part[:LONGEST_NAME]}" if path else part[:LONGEST_NAME]
    return path or "body"
