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
from souk.supervisor.output.readiness import Readiness
from souk.supervisor.starting import Turns
from souk.telemetry.turning_file import LogLimits


@dataclass(frozen=True, slots=True)
class Blueprint:
    """How a process is made, known to be ready, and asked to end.

    `command` is asked for at each start; it may prepare what the process needs, and raise OSError or
    SoukError when it cannot be. `shown` chooses what others get to see of what it writes.
    """

    service: str
    instance: str
    kind: str
    command: Callable[[], Awaitable[Command]]
    readiness: Readiness
    stop_signal: int = signal.SIGTERM
    kill_signal: int = signal.SIGKILL
    control: str = ""
    shown: Shown = everything


@dataclass(frozen=True, slots=True)
class Ground:
    """What every place stands on.

    `told` hears each change of a place's state, `said` what is shown of each process. `turns` says when one may start.
    A start may take `longest_start` seconds; that of an engine, which may have much to recover, as long as it gets on.
    """

    clock: Clock
    record: ProcessesFile
    log_of: Callable[[str], Path]
    told: Callable[[ProcessView], None]
    said: Callable[[str, list[bytes]], None]
    random: Random = field(default_factory=Random)
    turns: Turns = field(default_factory=Turns)
    log_limits: LogLimits = field(default_factory=LogLimits)
    longest_start: float = inf
