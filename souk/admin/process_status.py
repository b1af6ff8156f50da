"""The state of a fleet's processes, and the ports to a supervisor that the servicers here need.

`souk.supervisor.fleet` implements them, and `servicers.monolith` does for a system of one process.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

SERVICE, GATEWAY, EMULATOR, ENGINE = "service", "gateway", "companion", "engine"
SIDECAR, CONTROL_PLANE = "sidecar", "control plane"
"""Kinds of processes."""
MESH = "mesh"
"""The name of the control plane of a mesh among the processes."""

STARTING, READY, DRAINING, BACKING_OFF, STOPPED, FAILED = (
    "starting", "ready", "draining", "backing off", "stopped", "failed",
)  # fmt: skip
"""States of a process. `failed`: it could not even be started."""


@dataclass(frozen=True, slots=True)
class ProcessView:
    """The state of a process at one moment.

    `restarts` counts how often it was started again after it had died. `started_at` is in
    microseconds since 1970, 0 before its first start. `control` is the path of its control socket, "" if it has
    none. `why` is the reason why it is not ready, "" when it is. `version` is the one that it registers with, if any.
    In a mesh it is `isolated`, in a network namespace, or `not_isolated` says why it is not; `egress` is what it
    reaches outside of that, each as host:port.
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
    version: str = ""
    isolated: bool = False
    not_isolated: str = ""
    egress: tuple[str, ...] = ()


SYSTEM = "system"
"""The kind of a process that is the whole system."""
APPLICATION = "application"
"""The kind of a process of an application that has joined the system."""
NO_LOG = Path()
"""The log of a process that writes no log file."""


class View(Protocol):
    """The state of a process at one moment; see `ProcessView`."""

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
    @property
    def version(self) -> str: ...
    @property
    def isolated(self) -> bool: ...
    @property
    def not_isolated(self) -> str: ...
    @property
    def egress(self) -> tuple[str, ...]: ...


def answering(view: View) -> bool:
    """Tells whether a process answers on a control socket: engines and emulators do not."""
    return bool(view.control) and view.kind in {SERVICE, GATEWAY, SYSTEM, APPLICATION}


class Supervised(Protocol):
    """A supervisor. Its methods raise ConfigurationError, in one line for the operator, when they cannot do it."""

    def processes(self) -> Sequence[View]:
        """Gives every process, engines and stopped services included."""
        ...

    async def scale(self, service: str, replicas: int) -> None:
        """Sets the number of a service's processes; returns when new ones are ready, or the surplus has drained."""
        ...

    async def restart(self, service: str, progress: Callable[[str], None]) -> None:
        """Replaces a service's processes one by one, and calls `progress` with a line for each step."""
        ...

    async def stop(self, service: str) -> None:
        """Drains and ends a service's processes."""
        ...

    async def start(self, service: str) -> None:
        """Starts a service that was stopped; returns when it is ready."""
        ...
