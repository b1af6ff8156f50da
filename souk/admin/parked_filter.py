"""Which parked events an operator means."""

import os
import pwd
import re
from collections.abc import Iterable
from dataclasses import dataclass

from souk.admin.parked import ParkedEvent
from souk.kernel.clock import MICROSECONDS, Clock

_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


@dataclass(frozen=True, slots=True)
class ParkedFilter:
    """What is wanted of parked events; what is empty says nothing. `older` is in seconds."""

    service: str = ""
    consumer: str = ""
    type_name: str = ""
    why_parked: str = ""
    older: float = 0.0

    def takes(self, one: ParkedEvent, now: int) -> bool:
        """Tells whether an event is wanted at the time `now`, in microseconds."""
        return (
            self.service in ("", one.service)
            and self.consumer in ("", one.consumer)
            and (not self.type_name or f".{one.type}".endswith(f".{self.type_name}"))
            and self.why_parked.casefold() in one.reason.casefold()
            and now - one.since >= self.older * MICROSECONDS
        )


def filtered(them: Iterable[ParkedEvent], wanted: ParkedFilter, clock: Clock) -> list[ParkedEvent]:
    """Gives the events that are wanted."""
    now = clock.now()
    return [one for one in them if wanted.takes(one, now)]


def seconds_of(text: str) -> float | None:
    """Reads a time such as 90s, 10m, 2h or 7d; None if it is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    return float(found[1]) * _UNITS[found[2]] if found else None


def user() -> str:
    """Gives the name of the user of the operating system who runs this program."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"
