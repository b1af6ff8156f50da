"""Keeps the log of a process in a file as well, as JSON lines, whatever the process shows on its terminal."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson

from souk.kernel.clock import Clock, to_datetime
from souk.telemetry.logs import given_also_to
from souk.telemetry.turning_file import LogLimits, TurningFile


class KeptLog:
    """Appends records to a file that is rotated. Records that cannot be written are lost: a full disk stops nobody."""

    def __init__(self, file: TurningFile, clock: Clock) -> None:
        self._file, self._clock = file, clock
        self._turn = threading.Lock()

    def take(self, record: Mapping[str, Any]) -> None:
        """Appends a record, with its date: on a terminal it has only the time of day."""
        time = to_datetime(self._clock.now()).isoformat(timespec="microseconds").replace("+00:00", "Z")
        line = orjson.dumps({**record, "timestamp": time}, default=str, option=orjson.OPT_NON_STR_KEYS)
        with self._turn, suppress(OSError):
            self._file.append(line + b"\n")


@contextmanager
def kept_log(path: Path, limits: LogLimits, clock: Clock) -> Iterator[Path]:
    """Keeps every record inside the block in the file `path`, which only its owner can read; gives the path."""
    file = TurningFile(path, limits.full, limits.kept)
    try:
        with given_also_to(KeptLog(file, clock).take):
            yield path
    finally:
        file.close()
