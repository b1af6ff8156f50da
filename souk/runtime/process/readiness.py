"""How it is seen that a process takes calls: by what it says, or by looking at it."""

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from souk.kernel.addresses import unix_address


class Readiness(Protocol):
    """Both answer with the address at which the process takes calls, or None while it does not."""

    def heard(self, line: bytes) -> str | None:
        """It wrote this line."""
        ...

    def seen(self, pid: int) -> str | None:
        """Time has passed; look at it."""
        ...


@dataclass(frozen=True, slots=True)
class Says:
    """It says so, in a line that `pattern` finds; its group `address` is the address, unless that is known."""

    pattern: re.Pattern[bytes]
    address: str = ""

    def heard(self, line: bytes) -> str | None:
        found = self.pattern.search(line)
        if found is None:
            return None
        return self.address or found["address"].decode()

    def seen(self, pid: int) -> str | None:
        return None


@dataclass(frozen=True, slots=True)
class Looks:
    """It answers at `address`, when asked by `look` with its pid."""

    look: Callable[[int], bool]
    address: str

    def heard(self, line: bytes) -> str | None:
        return None

    def seen(self, pid: int) -> str | None:
        return self.address if self.look(pid) else None


def ready_line(service: str) -> Says:
    """What `souk serve` prints."""
    return Says(re.compile(rb"^ready " + re.escape(service.encode()) + rb" (?P<address>\S+)$"))


def accepts(path: Path) -> Looks:
    """Somebody listens at a unix socket."""

    def look(pid: int) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(path)) == 0

    return Looks(look, unix_address(path))
