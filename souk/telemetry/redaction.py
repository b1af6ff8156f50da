"""What never reaches a log: whole messages, secrets by the name of their field or by their form in a text, long text.

A value whose name contains a word such as "password" is struck out. In any text the following are: API keys and
refresh tokens (`souk_..._...`, and an id with a secret after a full stop), signed tokens (JWT), credentials after
`Bearer` and `Basic`, headers with credentials, `password=...` and the like, passwords in URLs, private keys, and
numbers of cards (ISO/IEC 7812, with a valid check digit).
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from google.protobuf.message import Message

STRUCK_OUT = "[struck out]"
LONGEST = 500
"""Characters of a value."""
LONGEST_TEXT = 16_000
"""Characters of an event's own text, and of an exception's with its traceback."""
MOST_ITEMS = 100
_TEXTS = frozenset({"exception", "event"})
_SHORT = frozenset({int, float, bool, type(None)})
_SECRET_WORDS = ("password", "secret", "token", "authorization", "cookie", "card", "api_key", "private")

_SUSPECT = (
    *("souk_", "eyj", "://", "-----begin", "bearer", "basic", "authoriz", "cookie", "passw", "secret", "token", "key"),
    *("cvc", "cvv"),
)
_SUSPECT_FORM = re.compile(r"[2-6]\d{3}[ -]?\d{2}|-[0-9A-Z]{26}\.")
"""One of these is in every text in which something may have to be struck out; most have none. Each request has a text
to look through, so the quick look is by words."""
_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL), STRUCK_OUT),
    (re.compile(r"\b(souk_[0-9A-Za-z]+_)[\w-]{16,}"), rf"\1{STRUCK_OUT}"),
    (re.compile(r"\b([A-Z]{3}-[0-9A-Z]{26}\.)[\w-]{43}"), rf"\1{STRUCK_OUT}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"), STRUCK_OUT),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {STRUCK_OUT}"),
    (
        re.compile(r"\b((?:proxy-)?authorization|(?:set-)?cookie)\b([\"']?\s*[:=,]\s*)[^\r\n]+", re.IGNORECASE),
        rf"\1\2{STRUCK_OUT}",
    ),
    (
        re.compile(
            r"([\w-]*(?:passw(?:or)?d|secret|token|api[_-]?key|private[_-]?key|cv[cv])[\w-]*[\"']?\s*[=:]\s*b?[\"']?)"
            r"[^\s\"',;&}\])]{3,}",
            re.IGNORECASE,
        ),
        rf"\1{STRUCK_OUT}",
    ),
    (re.compile(r"(://[^\s/:@]*):[^\s/@]+@"), rf"\1:{STRUCK_OUT}@"),
)
_CARD = re.compile(r"(?<![0-9A-Za-z])[2-6]\d{3}(?:[ -]?\d){8,14}\d(?![0-9A-Za-z])")


def scrubbed(text: str) -> str:
    """Strikes out what has the form of a secret."""
    lowered = text.lower()
    for word in _SUSPECT:
        if word in lowered:
            break
    else:
        if _SUSPECT_FORM.search(text) is None:
            return text
    for form, instead in _FORMS:
        text = form.sub(instead, text)
    return _CARD.sub(lambda found: STRUCK_OUT if _is_card(found[0]) else found[0], text)


def _is_card(text: str) -> bool:
    """Checks the last digit by Luhn's algorithm (ISO/IEC 7812-1, annex B)."""
    digits = [int(one) for one in text if one.isdigit()][::-1]
    doubled = [2 * one - 9 if one > 4 else 2 * one for one in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def cut(text: str, most: int) -> str:
    """Shortens a text that is longer than `most` characters; its beginning and its end stay, and it says so."""
    if len(text) <= most:
        return text
    end = most // 4
    return f"{text[: most - end]}... [cut: {len(text) - most} characters] ...{text[-end:]}"


def harmless(name: str, value: object) -> object:
    """Makes of a field's value what may be in a log."""
    if is_secret(name):
        return STRUCK_OUT
    if type(value) in _SHORT:
        return value
    if isinstance(value, str):
        return scrubbed(cut(value, LONGEST_TEXT if name in _TEXTS else LONGEST))
    if isinstance(value, Message):
        return value.DESCRIPTOR.full_name
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if isinstance(value, Mapping):
        return {str(key): harmless(str(key), inner) for key, inner in list(value.items())[:MOST_ITEMS]}
    if isinstance(value, Sequence | set | frozenset):
        return [harmless(name, inner) for inner in list(value)[:MOST_ITEMS]]
    return scrubbed(cut(str(value), LONGEST))


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether the name of a field says that its value is a secret."""
    lowered = name.lower()
    return any(word in lowered for word in _SECRET_WORDS)
