"""The log of a process: a file that is rotated when it is full, and its last lines kept in memory."""

from collections import deque
from contextlib import suppress
from pathlib import Path

import orjson

from souk.telemetry.turning_file import LogLimits, TurningFile

_REMEMBERED = 20
_DEFAULT = LogLimits()
_PRIVATE = 0o600
_LONGEST_REASON = 240
_REASON_FIELDS = ("reason", "error", "exception")
_FATAL = (b" FATAL: ", b" PANIC: ")
"""PostgreSQL logs first why it gives up, in such a line, and then how it shuts down."""
_LAST_WORDS = 5


class Journal:
    """Appends lines to the file at `path`, which only its owner can read. If it cannot be made, that is tried again."""

    def __init__(self, path: Path, full: int = _DEFAULT.full, kept: int = _DEFAULT.kept) -> None:
        self._last: deque[bytes] = deque(maxlen=_REMEMBERED)
        self._file = TurningFile(path, full, kept)
        with suppress(OSError):
            self._file.open()
            path.chmod(_PRIVATE)  # also of one that exists already

    def write(self, lines: list[bytes]) -> None:
        """Appends lines. On a full disk they are lost: a log must not stop the process that writes it."""
        self._last.extend(lines)
        with suppress(OSError):
            self._file.append(b"".join(line + b"\n" for line in lines))

    def last_line(self) -> str:
        """Gives the probable reason of the process's end: its last fatal line, or its last line; "" without output."""
        last = list(self._last)[-_LAST_WORDS:]
        fatal = [line for line in last if any(word in line for word in _FATAL)]
        return next((words for line in reversed(fatal or last) if (words := in_words(line))), "")

    def forget(self) -> None:
        """Forgets the lines in memory, which are those of a process that has ended."""
        self._last.clear()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def in_words(line: bytes) -> str:
    """Gives a log line in short: the event and the reason of a JSON record, or any other text itself."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return _cut(line.decode(errors="replace").strip())
    if not isinstance(record, dict) or "event" not in record:
        return _cut(line.decode(errors="replace").strip())
    reasons = (str(record[name]).strip().rpartition("\n")[2] for name in _REASON_FIELDS if record.get(name))
    return _cut(": ".join([str(record["event"]), *reasons]))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."
