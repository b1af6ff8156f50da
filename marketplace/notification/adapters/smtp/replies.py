"""What a refusal of a mail server means for the mail. No I/O.

Sources: RFC 5321 (4.2, reply codes), RFC 3463 and IANA's registry of enhanced status codes, RFC 7504 (521 and 556).
"""

import re
from enum import Enum


class Stage(Enum):
    """The part of a session in which the server refused."""

    SESSION = "the session"
    """Greeting, EHLO, STARTTLS."""
    LOGIN = "our login"
    SENDER = "the sender"
    RECIPIENT = "the recipient"
    CONTENT = "the mail"
    """DATA, or what follows it."""


class Verdict(Enum):
    """What is to be done with a mail that was refused."""

    RETRY = "retry"
    GIVE_UP = "give up"
    SUPPRESS = "suppress"


_STATUS = re.compile(r"([245]\.\d{1,3}\.\d{1,3})\b")
_TEMPORARY, _PERMANENT, _CLOSING = 400, 500, 421
_NO_SUCH_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
_NO_SUCH_ADDRESS_CODES = frozenset({551, 553, 556})
_OURS = frozenset({"5.1.7", "5.1.8", "5.5.1", "5.7.0", "5.7.8", "5.7.9", "5.7.14"}) | {
    f"5.7.{detail}" for detail in range(20, 30)
}
"""About our sender, login, DKIM, SPF, DMARC or reverse DNS: every mail would be refused until that is repaired."""
_OURS_CODES = frozenset({503, 521, 530, 534, 535, 538})
_TOO_LARGE, _TOO_LARGE_STATUS = 552, "5.3.4"


def verdict_of(stage: Stage, code: int, text: str) -> Verdict:
    """Decides what a reply means.

    Only what the server says of this recipient or this mail ends it. What it says of the session, the login or the
    sender is wrong in our configuration, and no reason to give up mails.
    """
    status = status_of(text)
    if code < _PERMANENT or stage in (Stage.SESSION, Stage.LOGIN):
        return Verdict.RETRY
    if code == _TOO_LARGE or status == _TOO_LARGE_STATUS:
        return Verdict.GIVE_UP
    if stage is Stage.SENDER or code in _OURS_CODES or status in _OURS:
        return Verdict.RETRY
    if stage is Stage.RECIPIENT and _does_not_exist(code, status):
        return Verdict.SUPPRESS
    return Verdict.GIVE_UP


def is_put_off(stage: Stage, code: int) -> bool:
    """Returns whether a reply puts off this recipient, or this mail, and says nothing of others."""
    return stage in (Stage.RECIPIENT, Stage.CONTENT) and _TEMPORARY <= code < _PERMANENT and code != _CLOSING


def _does_not_exist(code: int, status: str) -> bool:
    return status in _NO_SUCH_ADDRESS if status else code in _NO_SUCH_ADDRESS_CODES


def status_of(text: str) -> str:
    """Returns the enhanced status code that a reply's text begins with, such as "5.1.1", or ""."""
    found = _STATUS.match(text)
    return found[1] if found else ""


def reply_in_words(stage: Stage, code: int, text: str) -> str:
    """Describes a refusal by its codes alone: servers put the recipient's address into the text."""
    return f"the mail server refused {stage.value}: {code} {status_of(text)}".rstrip()
