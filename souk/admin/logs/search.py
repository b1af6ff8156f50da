"""Searches the logs of all processes of a system, and follows them. Every function blocks while it reads files."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from souk.admin.logs.records import LogRecord
from souk.admin.logs.tail import LogLines
from souk.admin.logs.wanted import Judge, LogFilter, ReadBack, Wanted, newest_first

MOST_RECORDS = 100_000
"""Lines that one search gives at most."""
MOST_TRACES = 1_000
"""Traces that are searched for what one id is about."""
_ANYTHING = LogFilter()
NamedLog = tuple[str, Path]
"""A process's name, and the path of its log."""


@dataclass(frozen=True, slots=True)
class LogSearch:
    """What a search has found: the last records, the oldest first. `more` says that older ones match as well."""

    records: Sequence[LogRecord]
    more: bool


class Logs:
    """The logs of several processes, each under its process's name, searched and then followed."""

    def __init__(self, wanted: LogFilter = _ANYTHING) -> None:
        self._filter, self._wanted = wanted, Wanted(wanted, [wanted.about] if wanted.about else ())
        self._logs: dict[str, tuple[LogLines, Judge]] = {}

    def search(self, paths: Iterable[NamedLog], limit: int) -> LogSearch:
        """Gives the last `limit` lines that are wanted; what is written later is given by `further`."""
        for name, path in paths:
            self._of(name, path).skip()
        limit = min(max(limit, 0), MOST_RECORDS)
        if not limit:
            return LogSearch((), more=False)
        if self._filter.about:
            for record in islice(self._newest_first(), MOST_TRACES):
                self._wanted.add(record.trace_id)
        found = list(islice(self._newest_first(), limit + 1))
        return LogSearch(found[:limit][::-1], len(found) > limit)

    def further(self, paths: Iterable[NamedLog]) -> list[LogRecord]:
        """Gives what is wanted of the lines written since the last call; of a log that is new, of all its lines.

        A log of an earlier call is read even if it is not among `paths` any more: a process writes last as it ends.
        """
        for name, path in paths:
            self._of(name, path)
        found = [one for log, judge in self._logs.values() for one in _judged(log.further(), judge)]
        if self._filter.about:
            for record in found:
                self._wanted.add(record.trace_id)
        return found

    def close(self) -> None:
        """Closes the files."""
        for log, _ in self._logs.values():
            log.close()

    def _newest_first(self) -> Iterator[LogRecord]:
        """Gives what is wanted of all logs, and reads each of them back no further than to the record that it gives."""
        found = (
            newest_first(name, log.before(self._filter.until), self._wanted) for name, (log, _) in self._logs.items()
        )
        merged = heapq.merge(*found, key=lambda one: one.at, reverse=True)
        return (one for one in merged if not isinstance(one, ReadBack))

    def _of(self, name: str, path: Path) -> LogLines:
        found = self._logs.get(name)
        if found is None:
            found = self._logs[name] = LogLines(path), Judge(name, self._wanted)
        return found[0]


def _judged(lines: Iterable[bytes], judge: Judge) -> Iterator[LogRecord]:
    for line in lines:
        yield from judge.take(line)
    yield from judge.rest()


def search_logs(paths: Iterable[NamedLog], wanted: LogFilter, limit: int) -> LogSearch:
    """Gives the last `limit` lines of these logs, and of their rotated files, that are wanted."""
    with closing(Logs(wanted)) as logs:
        return logs.search(paths, limit)


def logs_below(folder: Path) -> list[NamedLog]:
    """Finds the logs in a folder, also those of processes that run no more."""
    return [(path.stem, path) for path in sorted(folder.glob("*.log"))]
