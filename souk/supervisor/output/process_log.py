"""The log of a process: a file that is rotated when it is full, and its last lines in memory."""

from collections import deque
from contextlib import suppress
from pathlib import Path

import orjson

from souk.telemetry.turning_file import LogLimits, TurningFile

_REMEMBERED = 20
_DEFAULT = LogLimits()
_PRIVATE = 0o600
_LONGEST_REASON = 240
_TELLING = ("reason", "error", "exception")
_FATAL = (b" FATAL: ", b" PANIC: ")
"""PostgreSQL says why it gives up, and then how it does."""
_LAST_WORDS = 5


class Journal:
    """Appends lines to the file at `path`, which only its owner can read. One that cannot be made is tried again."""

    def __init__(self, path: Path, full: int = _DEFAULT.full, kept: int = _DEFAULT.kept) -> None:
        self._last: deque[bytes] = deque(maxlen=_REMEMBERED)
        self._file = TurningFile(path, full, kept)
        with suppress(OSError):
            self._file.open()
            path.chmod(_PRIVATE)  # also of one that exists already

    def write(self, lines: list[bytes]) -> None:
        """Adds lines. A disk that is full loses them: a log must not stop who writes it."""
        self._last.extend(lines)
        with suppress(OSError):
            self._file.append(b"".join(line + b"\n" for line in lines))

    def last_line(self) -> str:
        """Why it has probably ended, in words: the last that was said; "" if nothing was."""
        last = list(self._last)[-_LAST_WORDS:]
        fatal = [line for line in last if any(word in line for word in _FATAL)]
        return next((words for line in reversed(fatal or last) if (words := in_words(line))), "")

    def forget(self) -> None:
        """What was said belongs to a life that is over."""
        self._last.clear()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def in_words(line: bytes) -> str:
    """A line of a log in short: of a record its event and why, of other text itself."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return _cut(line.decode(errors="replace").strip())
    if not isinstance(record, dict) or "event" not in record:
        return _cut(line.decode(errors="replace").strip())
    reasons = (str(record[name]).strip().rpartition("\n")[2] for name in _TELLING if record.get(name))
    return _cut(": ".join([str(record["event"]), *reasons]))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."
