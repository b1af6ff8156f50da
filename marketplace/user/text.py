"""What counts as one line of text that a person wrote."""

import unicodedata

_CONTROL = frozenset({"Cc", "Cs", "Zl", "Zp"})


def is_line(text: str, longest: int) -> bool:
    """Whether `text` is 1 to `longest` characters, not all blank, without control characters."""
    return 0 < len(text) <= longest and bool(text.strip()) and is_clean(text)


def is_clean(text: str) -> bool:
    """Whether `text` has no line break and no other control character."""
    return all(unicodedata.category(char) not in _CONTROL for char in text)
