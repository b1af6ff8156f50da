"""Messages for an unknown name, with a suggestion of the known name that was probably meant."""

import difflib
from collections.abc import Iterable

LIKE = 0.6
"""The least similarity (0 is nothing alike, 1 is equal) at which a known name is suggested."""


def nearest(name: str, known: Iterable[str], like: float = LIKE) -> str:
    """Returns the known name most similar to `name`; empty when none has at least the similarity `like` (0 to 1)."""
    found = difflib.get_close_matches(name, sorted(set(known)), n=1, cutoff=like)
    return found[0] if found else ""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Returns the message that there is no such name, in one line, with a suggestion."""
    return f"there is no {what} {name!r}{meant(name, known)}"


def meant(name: str, known: Iterable[str]) -> str:
    """Returns the end of such a message: the most similar name, or else all known names."""
    names = sorted(set(known))
    if found := nearest(name, names):
        return f"; the nearest is {found!r}"
    return f"; there are {', '.join(names)}" if names else ""
