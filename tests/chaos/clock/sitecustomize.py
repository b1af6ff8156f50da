"""Lets a run shift the clock of one process; Python imports it at start, where this folder is on PYTHONPATH.

CHAOS_CLOCK names a folder: a file there that bears the process's id holds seconds to add to its date.
"""

import os
import time
from pathlib import Path

_FOLDER = os.environ.get("CHAOS_CLOCK")
_EVERY = 0.1


def _shift(folder: Path) -> None:
    true_ns, monotonic = time.time_ns, time.monotonic
    own, known = folder / str(os.getpid()), {"until": 0.0, "shift": 0.0}

    def shift() -> float:
        if monotonic() >= known["until"]:
            known["until"] = monotonic() + _EVERY
            try:
                known["shift"] = float(own.read_text() or "0")
            except (OSError, ValueError):
                known["shift"] = 0.0
        return known["shift"]

    time.time_ns = lambda: true_ns() + int(shift() * 1_000_000_000)
    time.time = lambda: time.time_ns() / 1_000_000_000


if _FOLDER:
    _shift(Path(_FOLDER))
