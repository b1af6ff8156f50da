"""How a process of a fleet is started, and what all managed processes share."""

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from random import Random

from souk.admin.process_record import ProcessesFile
from souk.admin.process_status import ProcessView
from souk.kernel.clock import Clock
from souk.runtime.process.command import Command
from souk.runtime.process.liveness import LivenessProbe
from souk.supervisor.isolation.pod_network import PodNetwork
from souk.supervisor.output.log_filter import Shown, everything
from souk.supervisor.output.readiness import ReadinessProbe
from souk.supervisor.starting import Turns
from souk.telemetry.turning_file import LogLimits


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """How a process is started, known to be ready, and asked to end.

    `command` is called at each start; it may prepare what the process needs, and raise OSError or SoukError when
    that fails. `shown` chooses the lines of its output that are shown. `kill_signal` ends it at once, also when it does
    not end in time after `stop_signal`; a process that would leave children behind has another one than SIGKILL.
    `alive` asks it for a sign of life once it is ready: if there is none for long, it is started anew. `sidecar` is the
    proxy beside it, if there is one, and `version` the one that it registers with. In a mesh it runs in `network`, or
    `not_isolated` says why it does not.
    """

    service: str
    instance: str
    kind: str
    command: Callable[[], Awaitable[Command]]
    readiness: ReadinessProbe
    stop_signal: int = signal.SIGTERM
    kill_signal: int = signal.SIGKILL
    control: str = ""
    shown: Shown = everything
    alive: LivenessProbe | None = None
    sidecar: "ProcessSpec | None" = None
    version: str = ""
    network: PodNetwork | None = None
    not_isolated: str = ""


@dataclass(frozen=True, slots=True)
class SupervisorContext:
    """What all managed processes share.

    `on_state` is called with each change of a process, `on_output` with its lines that are shown; `turns` limits how
    many start at once. A start may take `longest_start` seconds; an engine, which may have much to recover, may take
    as long as it makes progress.
    """

    clock: Clock
    record: ProcessesFile
    log_of: Callable[[str], Path]
    on_state: Callable[[ProcessView], None]
    on_output: Callable[[str, list[bytes]], None]
    random: Random = field(default_factory=Random)
    turns: Turns = field(default_factory=Turns)
    log_limits: LogLimits = field(default_factory=LogLimits)
    longest_start: float = inf
