"""The state of reading one JSON value: where the reader is and what it found wrong.

A location is a chain of tuples `(parent, label, depth)`; a label is a field's name, an index, or a map's
key. Chains cost next to nothing while all is well, and become a path only when something is wrong.
"""

from typing import Any, TypeAlias

from souk.kernel.errors import Violation

MAX_DEPTH = 30
"""Levels of nesting in a request. A level of Struct is three levels of protobuf, which stops at 100."""

MAX_VIOLATIONS = 100
"""Named in one answer; a wrong body of 1 MiB must not become an answer of many."""

LONGEST_NAME = 100
"""Characters of a client's own name that an answer repeats."""

JsonLocation: TypeAlias = tuple[Any, str | int, int]
"""`parent` is a JsonLocation or None."""

ROOT: JsonLocation = (None, "", 0)


class Walk:
    """One reading: counts the keys that it passed and collects violations under their JSON paths.

    Once it is `full` readers stop: a wrong body of 1 MiB would keep everybody waiting.
    """

    __slots__ = ("full", "keys", "violations")

    def __init__(self) -> None:
        self.keys = 0
        self.full = False
        self.violations: list[Violation] = []

    def refuse(self, parent: JsonLocation | None, label: str | int, detail: str) -> Any:
        """Records that the value at `label` under `parent` is wrong; None, for the reader to return."""
        if not self.full:
            self.violations.append(Violation(path_of(parent, label), detail))
            self.full = len(self.violations) >= MAX_VIOLATIONS


def path_of(parent: JsonLocation | None, label: str | int) -> str:
    """A location as text, such as `items[0].quantity`; the request itself is `body`."""
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
