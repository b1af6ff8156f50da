"""What a fleet tells of its processes."""

from dataclasses import dataclass
from pathlib import Path

SERVICE, GATEWAY, COMPANION, ENGINE = "service", "gateway", "companion", "engine"
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
