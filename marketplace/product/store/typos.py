"""How near a word that was typed is to one of the catalogue: the edits between them. No I/O.

One edit adds, removes or replaces a character, or swaps two neighbours (optimal string alignment).
Source: Ukkonen, "Approximate string-matching with q-grams and maximal matches", for the trigrams that edits leave.
"""

_TYPED, _LONG = 3, 6
"""The lengths from which a word may have one mistake, and two: as the engines' fuzziness AUTO."""


def edits_allowed(word: str) -> int:
    """Returns how many typing mistakes a word of this length may have."""
    return (len(word) >= _TYPED) + (len(word) >= _LONG)


def trigrams(word: str, *, is_prefix: bool = False) -> list[str]:
    """Returns the different trigrams of a word, with two blanks before and, unless it is a prefix, one behind it."""
    text = f"  {word}" if is_prefix else f"  {word} "
    return sorted({text[at : at + 3] for at in range(len(text) - 2)})


def edits_between(typed: str, word: str, *, is_prefix: bool = False) -> int:
    """Returns the fewest edits that make `typed` a word; with `is_prefix`, some beginning of it."""
    before: list[int] = []
    row = list(range(len(word) + 1))
    for i, char in enumerate(typed):
        older, before, row = before, row, [i + 1]
        for j, other in enumerate(word):
            best = min(before[j + 1] + 1, row[j] + 1, before[j] + (char != other))
            if i and j and char == word[j - 1] and typed[i - 1] == other:
                best = min(best, older[j - 1] + 1)
            row.append(best)
    return min(row) if is_prefix else row[-1]
