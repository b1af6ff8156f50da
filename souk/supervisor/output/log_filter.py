"""What is shown of what a process writes: of an engine, what went wrong. All of it is in its log."""

import re
from collections.abc import Callable

from souk.store.postgres.sql_merge import NOT_LIKELY

Shown = Callable[[list[bytes]], list[bytes]]
"""Which lines are shown of those that a process wrote."""

_POSTGRES = re.compile(rb"\] (?P<level>[A-Z]+): +(?P<text>.*)")
_POSTGRES_MORE = frozenset({b"DETAIL", b"HINT", b"CONTEXT", b"STATEMENT", b"QUERY", b"LOCATION"})
_DIED = b"was terminated by signal"
_IT_STOPS = re.compile(
    rb"due to (administrator command|unexpected postmaster exit)"
    rb"|the database system is (starting up|shutting down|not yet)"
)
"""FATAL for a connection, and no news where the state of the server is told."""
_RUN_AGAIN = NOT_LIKELY.encode()
"""An ERROR for PostgreSQL, and for us a transaction that begins again and asks."""

_VALKEY = re.compile(rb"^\d+:[A-Z] .{20,30} (?P<mark>[.*#-]) (?P<text>.*)|^\d+:signal-handler ")
_VALKEY_AS_EVER = re.compile(
    rb"(?i)overcommit|transparent huge pages|backlog setting"  # of a server that keeps much and has many clients
    rb"|o0o|version=|configuration loaded|server initialized|user requested shutdown|ready to exit"
)
"""Older ones mark their usual course as a warning."""


def everything(lines: list[bytes]) -> list[bytes]:
    """All of it."""
    return lines


def without(words: bytes) -> Shown:
    """All but lines with these words in them."""
    return lambda lines: [line for line in lines if words not in line]


class News:
    """Shows the lines that `judge` finds to be news; where it says None a line goes with the one before it."""

    def __init__(self, judge: Callable[[bytes], bool | None]) -> None:
        self._judge, self._goes_on = judge, True

    def __call__(self, lines: list[bytes]) -> list[bytes]:
        """Those to show."""
        return [line for line in lines if self._is_shown(line)]

    def _is_shown(self, line: bytes) -> bool:
        judged = self._judge(line)
        if judged is not None:
            self._goes_on = judged
        return self._goes_on


def postgres_news(line: bytes) -> bool | None:
    """Whether PostgreSQL warns, or something of it has died."""
    found = _POSTGRES.search(line)
    if found is None:
        # A message may have several lines. What has no level is not PostgreSQL's own, such as a library's complaint.
        return None if line[:1].isspace() else True
    if found["level"] in _POSTGRES_MORE:
        return None
    if found["level"] == b"LOG":
        return _DIED in found["text"]
    return _RUN_AGAIN not in found["text"] and _IT_STOPS.search(found["text"]) is None


def valkey_news(line: bytes) -> bool | None:
    """Whether Valkey, or Redis, warns of what matters to a server that keeps nothing."""
    found = _VALKEY.search(line)
    if found is None:
        return True
    return found["mark"] == b"#" and _VALKEY_AS_EVER.search(found["text"]) is None
