"""Liveness: whether a process that is ready still answers. One that hangs is killed, and started again."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

EVERY = 2.0
"""Seconds between two questions."""
SILENT = 10.0
"""Seconds without an answer after which a process hangs that uses no CPU meanwhile: a starved one uses a little."""
LONGEST = 60.0
"""Seconds without an answer after which a process hangs in any case."""
_ANSWER = 5.0
"""Seconds that one answer may take."""
_WORKED = 0.02
"""Seconds of CPU that show that a process is not stopped."""
_REQUEST = b"GET /ready HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n"

LivenessProbe = Callable[[], Awaitable[bool]]
"""Asks a process for a sign of life; returns whether it gave one."""


@dataclass(slots=True)
class Silence:
    """How long a process has not answered, and whether it works. Pure; `now` is in seconds, `cpu` in seconds of CPU."""

    answered_at: float
    worked_at: float = 0.0
    cpu: float | None = None

    def answered(self, now: float) -> None:
        """Notes an answer."""
        self.answered_at, self.cpu = now, None

    def given_up(self, now: float, cpu: float) -> str:
        """Notes that there was none; returns why the process is given up, or "" while it is not."""
        if self.cpu is None:
            self.cpu, self.worked_at = cpu, self.answered_at
        elif cpu >= self.cpu + _WORKED:
            self.cpu, self.worked_at = cpu, now
        silent = now - self.answered_at
        return f"hung: no answer for {silent:.0f} s" if now - self.worked_at > SILENT or silent > LONGEST else ""


def answers_at(path: Path) -> LivenessProbe:
    """Makes a probe that asks a unix socket over HTTP; any answer is a sign of life."""

    async def ask() -> bool:
        try:
            async with asyncio.timeout(_ANSWER):
                reader, writer = await asyncio.open_unix_connection(path)
                try:
                    writer.write(_REQUEST)
                    return (await reader.read(8)).startswith(b"HTTP/")
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

    return ask
