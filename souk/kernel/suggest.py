"""Says that there is no such name, and which was meant."""

import difflib
from collections.abc import Iterable

LIKE = 0.6
"""What is less like a name than this was not meant by it."""


def nearest(name: str, known: Iterable[str], like: float = LIKE) -> str:
    """The known name that is most like it; empty when none is at least `like` (0 is nothing, 1 the same) it."""
    found = difflib.get_close_matches(name, sorted(set(known)), n=1, cutoff=like)
    return found[0] if found else ""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """One line for people."""
    return f"there is no {what} {name!r}{meant(name, known)}"


def meant(name: str, known: Iterable[str]) -> str:
    """What is said behind that: the name that is like it, or those that there are."""
    names = sorted(set(known))
    if found := nearest(name, names):
        return f"; the nearest is {found!r}"
    return f"; there are {', '.join(names)}" if names else ""
