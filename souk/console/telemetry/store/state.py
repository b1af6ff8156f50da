"""What is to be known of the console's file: whether it takes what is gathered, and in words why not."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from souk.kernel import private_files

FILE = "state.json"


class Condition(StrEnum):
    """How the file does."""

    WELL = "well"
    FULL = "full"
    LOCKED = "locked"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class TelemetryState:
    """How gathering does. `words` say what is wrong, empty if nothing is; `note` what has happened to the file before.

    `at` is when this was true, and `since` from when on, in microseconds since 1970. `gatherer` is the process that
    gathers. `waiting` are spans that could not be written yet.
    """

    condition: Condition = Condition.WELL
    words: str = ""
    note: str = ""
    since: int = 0
    at: int = 0
    gatherer: str = ""
    waiting: int = 0

    def save(self, folder: Path) -> None:
        """Writes it for other processes. Raises OSError."""
        private_files.replace(folder / FILE, json.dumps(asdict(self)).encode(), durable=False)


def read_state(folder: Path) -> TelemetryState | None:
    """Reads what the process that gathers has written last; None if there is nothing that can be read."""
    try:
        found = json.loads((folder / FILE).read_bytes())
        return TelemetryState(**{**found, "condition": Condition(found["condition"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
