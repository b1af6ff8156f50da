"""What a fleet tells of its processes, and what control needs of a supervisor, in its own words.

`souk.supervisor` has one, and a system of one process stands for one, too: `monolith_servicer`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

SERVICE, GATEWAY, EMULATOR, ENGINE = "service", "gateway", "companion", "engine"
"""Kinds of processes."""

STARTING, READY, DRAINING, BACKING_OFF, STOPPED, FAILED = (
    "starting", "ready", "draining", "backing off", "stopped", "failed",
)  # fmt: skip
"""States of a process. `failed` could not even be started."""


@dataclass(frozen=True, slots=True)
class ProcessView:
    """A process as it is at this moment.

    `restarts` counts how often it was started again after it had died. `started_at` is in
    microseconds since 1970, 0 before its first start. `control` is its control socket, "" where it has
    none. `why` says why it is not ready, and is "" when it is.
    """

    service: str
    instance: str
    kind: str
    state: str
    pid: int | None
    address: str
    restarts: int
    started_at: int
    control: str
    log: Path
    why: str


SYSTEM = "system"
"""The kind of a process that is the whole system."""
NO_LOG = Path()
"""The log of a process that keeps none."""


class View(Protocol):
    """A process at this moment; see `ProcessView`."""

    @property
    def service(self) -> str: ...
    @property
    def instance(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def address(self) -> str: ...
    @property
    def restarts(self) -> int: ...
    @property
    def started_at(self) -> int: ...
    @property
    def control(self) -> str: ...
    @property
    def log(self) -> Path: ...
    @property
    def why(self) -> str: ...


def answering(view: View) -> bool:
    """Whether a process can be asked: it is of ours, not an engine or what stands for the world outside."""
    return bool(view.control) and view.kind in {SERVICE, GATEWAY, SYSTEM}


class Supervised(Protocol):
    """A supervisor. What cannot be done raises ConfigurationError, in one line for people."""

    def processes(self) -> Sequence[View]:
        """Every process, engines and stopped services included."""
        ...

    async def scale(self, service: str, replicas: int) -> None:
        """Returns when the new ones are ready, or the surplus has drained."""
        ...

    async def restart(self, service: str, progress: Callable[[str], None]) -> None:
        """Replaces a service's processes one by one, and tells of each step."""
        ...

    async def stop(self, service: str) -> None:
        """Drains and ends a service's processes."""
        ...

    async def start(self, service: str) -> None:
        """Starts a service that was stopped; returns when it is ready."""
        ...
