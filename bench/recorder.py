"""Runs `souk` and records every statement for its databases: `python -m bench.recorder FILE up ...`.

Each connection's statements are kept in order, with their values, and written to FILE at the end.
"""

import pickle
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Values = Mapping[str, Any] | list[Mapping[str, Any]]
Statement = tuple[float, str, Values]
"""The time (seconds, monotonic), the SQL, and its values: a list of them for `executemany`."""


@dataclass(slots=True)
class Recorded:
    """The statements of one connection to the file at `path`."""

    path: str
    statements: list[Statement] = field(default_factory=list)


def read(file: Path) -> list[Recorded]:
    """Reads the file that `main` has written."""
    return [Recorded(path, statements) for path, statements in pickle.loads(file.read_bytes())]


_ALL: list[Recorded] = []


class _Recording(sqlite3.Connection):
    """A connection that records its statements."""

    def __init__(self, path: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(path, *arguments, **options)
        self._record = Recorded(str(path))
        _ALL.append(self._record)

    def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
        self._record.statements.append((time.monotonic(), sql, values))
        return super().execute(sql, values)

    def executemany(self, sql: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
        every = list(rows)
        self._record.statements.append((time.monotonic(), sql, every))
        return super().executemany(sql, every)


def main() -> None:
    """Runs the command with recording connections."""
    file, *arguments = sys.argv[1:]
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect
    sqlite3.connect = lambda *given, **options: connect(*given, **{**options, "factory": _Recording})
    from souk.cli.root import run  # imported only now, so that no module has imported the original `connect`

    try:
        status = run(arguments)
    finally:
        Path(file).write_bytes(pickle.dumps([(one.path, one.statements) for one in _ALL]))
    sys.exit(status)


if __name__ == "__main__":
    main()
