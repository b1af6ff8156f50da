"""How text becomes words for the search: the same for what is stored and for what is asked.

Folding here, and not in the engine, makes SQLite and PostgreSQL find the same products. Words hold
letters and digits only, so that no query can carry syntax of an engine.
"""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")
_MAX_WORDS = 32
_MAX_LENGTH = 64
"""Engines refuse words of some kilobytes; nobody types one."""


def words_of(text: str) -> list[str]:
    """The words of a text without case and accents, in order."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(char for char in decomposed if not unicodedata.combining(char))
    return [word[:_MAX_LENGTH] for word in _WORD.findall(plain)]


def query_words(text: str) -> tuple[str, ...]:
    """The words to search for, each once; the last one typed stays last, for it may be a beginning."""
    words = words_of(text)[:_MAX_WORDS]
    return tuple(dict.fromkeys(reversed(words)))[::-1]


def folded(text: str) -> str:
    """The words of a text, with single spaces in between."""
    return " ".join(words_of(text))
