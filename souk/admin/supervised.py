"""What control needs of a supervisor, in its own words.

`souk.supervisor` has one, and a system of one process stands for one, too: `monolith_servicer`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from souk.admin.process_status import GATEWAY, SERVICE

SYSTEM = "system"
"""The kind of a process that is the whole system."""
NO_LOG = Path()
"""The log of a process that keeps none."""


class View(Protocol):
    """A process at this moment; see `souk.admin.process_status.ProcessView`."""

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
