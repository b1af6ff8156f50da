"""How a process of a fleet is made, and what every process of one stands on."""

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
from souk.supervisor.output.log_filter import Shown, everything
from souk.supervisor.output.readiness import ReadinessProbe
from souk.supervisor.starting import Turns
from souk.telemetry.turning_file import LogLimits


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """How a process is made, known to be ready, and asked to end.

    `command` is asked for at each start; it may prepare what the process needs, and raise OSError or
    SoukError when it cannot be. `shown` chooses what others get to see of what it writes.
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


@dataclass(frozen=True, slots=True)
class SupervisorContext:
    """What every managed process shares.

    `on_state` gets each change of a process, `on_output` what is shown of it; `turns` says who may start.
    A start may take `longest_start` seconds; that of an engine, which may have much to recover, as long as it gets on.
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
