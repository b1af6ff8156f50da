"""Says that there is no such name, and which was meant."""

import difflib
from collections.abc import Iterable


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """One line for people."""
    nearest = difflib.get_close_matches(name, sorted(set(known)), n=1, cutoff=0.0)
    return f"there is no {what} {name!r}" + (f"; the nearest is {nearest[0]!r}" if nearest else "")
