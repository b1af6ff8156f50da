"""Chooses the lines of a process's output that are shown: of an engine, only errors. All lines are in its log."""

import re
from collections.abc import Callable

from souk.store.postgres.sql_merge import NOT_LIKELY

Shown = Callable[[list[bytes]], list[bytes]]
"""Gives those of a process's lines that are shown."""

_POSTGRES = re.compile(rb"\] (?P<level>[A-Z]+): +(?P<text>.*)")
_POSTGRES_MORE = frozenset({b"DETAIL", b"HINT", b"CONTEXT", b"STATEMENT", b"QUERY", b"LOCATION"})
_DIED = b"was terminated by signal"
_IT_STOPS = re.compile(
    rb"due to (administrator command|unexpected postmaster exit)"
    rb"|the database system is (starting up|shutting down|not yet)"
)
"""FATAL for a connection, but not shown: the state of the server, which is shown, says the same."""
_RUN_AGAIN = NOT_LIKELY.encode()
"""An ERROR for PostgreSQL; for us only a transaction that runs again, and then waits for its row counts."""

_VALKEY = re.compile(rb"^\d+:[A-Z] .{20,30} (?P<mark>[.*#-]) (?P<text>.*)|^\d+:signal-handler ")
_VALKEY_AS_EVER = re.compile(
    rb"(?i)overcommit|transparent huge pages|backlog setting"  # matter to a server with much data and many clients
    rb"|o0o|version=|configuration loaded|server initialized|user requested shutdown|ready to exit"
)
"""Texts that are not shown. Older versions mark messages of normal operation as warnings."""


def everything(lines: list[bytes]) -> list[bytes]:
    """Shows all lines."""
    return lines


def without(words: bytes) -> Shown:
    """Makes a filter that shows all lines but those that contain `words`."""
    return lambda lines: [line for line in lines if words not in line]


class News:
    """Shows the lines for which `judge` is true; a line for which it is None is treated like the line before it."""

    def __init__(self, judge: Callable[[bytes], bool | None]) -> None:
        self._judge, self._goes_on = judge, True

    def __call__(self, lines: list[bytes]) -> list[bytes]:
        """Gives the lines to show."""
        return [line for line in lines if self._is_shown(line)]

    def _is_shown(self, line: bytes) -> bool:
        judged = self._judge(line)
        if judged is not None:
            self._goes_on = judged
        return self._goes_on


def postgres_news(line: bytes) -> bool | None:
    """Tells whether a line of PostgreSQL is a warning or an error, or says that one of its processes was killed."""
    found = _POSTGRES.search(line)
    if found is None:
        # A message may have several lines. A line without a level is not PostgreSQL's own, but a library's, say.
        return None if line[:1].isspace() else True
    if found["level"] in _POSTGRES_MORE:
        return None
    if found["level"] == b"LOG":
        return _DIED in found["text"]
    return _RUN_AGAIN not in found["text"] and _IT_STOPS.search(found["text"]) is None


def valkey_news(line: bytes) -> bool | None:
    """Tells whether a line of Valkey, or Redis, is a warning that matters to a server that keeps nothing on disk."""
    found = _VALKEY.search(line)
    if found is None:
        return True
    return found["mark"] == b"#" and _VALKEY_AS_EVER.search(found["text"]) is None
