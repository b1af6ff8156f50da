"""Splits text into words for the search, in the same way for stored text and for queries.

Case and accents are folded here, and not in the engine, so that SQLite and PostgreSQL find the same products.
Words contain letters and digits only, so that no query can contain an engine's syntax.
"""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")
_MAX_WORDS = 32
_MAX_LENGTH = 64
"""Words are cut to this many characters: engines refuse words of some kilobytes."""


def words_of(text: str) -> list[str]:
    """Returns the words of a text without case and accents, in order."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(char for char in decomposed if not unicodedata.combining(char))
    return [word[:_MAX_LENGTH] for word in _WORD.findall(plain)]


def query_words(text: str) -> tuple[str, ...]:
    """Returns the words to search for, each once; the last one stays last, because it is searched as a prefix."""
    words = words_of(text)[:_MAX_WORDS]
    return tuple(dict.fromkeys(reversed(words)))[::-1]


def folded(text: str) -> str:
    """Returns the words of a text, joined by single spaces."""
    return " ".join(words_of(text))
