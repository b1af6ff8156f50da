"""Says that there is no such name, and which was meant."""

import difflib
from collections.abc import Iterable

_LIKE = 0.6
"""What is less like a name than this was not meant by it."""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """One line for people."""
    return f"there is no {what} {name!r}{meant(name, known)}"


def meant(name: str, known: Iterable[str]) -> str:
    """What is said behind that: the name that is like it, or those that there are."""
    names = sorted(set(known))
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=_LIKE)
    if nearest:
        return f"; the nearest is {nearest[0]!r}"
    return f"; there are {', '.join(names)}" if names else ""
