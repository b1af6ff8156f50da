"""How a process of a service is started: by `souk serve`, or by the words that were given for it.

A program that was given, in whatever language, is a process of the fleet like the others. It reads the same
variables, prints `ready NAME ADDRESS`, keeps its place in the registry, and ends on SIGTERM.
"""

import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from souk.kernel.errors import ConfigurationError
from souk.runtime.config.settings import LOOPBACK, PREFIX, Settings
from souk.runtime.data.directory import make
from souk.runtime.data.layout import DataLayout
from souk.runtime.process.command import Command
from souk.runtime.service import Emulator, Service
from souk.supervisor.capacity import require_known
from souk.supervisor.output.readiness import ReadinessProbe, accepts


@dataclass(frozen=True, slots=True)
class LaunchCommands:
    """The words that were `given` for services, by name; they are started in `folder`."""

    given: Mapping[str, tuple[str, ...]]
    folder: Path

    def of(self, name: str, environment: Mapping[str, str], *descriptors: int) -> Command:
        """How a process of a service, or of the gateway, is started."""
        if name in self.given:
            return Command(self.given[name], environment, self.folder)
        return Command((sys.executable, "-m", "souk.cli", "serve", name), environment, descriptors=descriptors)


def fitting(
    given: Mapping[str, tuple[str, ...]], services: Iterable[Service], inherited: Mapping[str, str]
) -> LaunchCommands:
    """The commands that were given, started where this process was.

    Raises ConfigurationError, in one line, for a service that is not there, or a program that is not.
    """
    commands, known = LaunchCommands(given, Path.cwd()), [service.name for service in services]
    for name, (program, *_) in given.items():
        require_known(name, known)
        if shutil.which(program, path=inherited.get("PATH")) is None:
            raise ConfigurationError(f"SOUK_COMMANDS: there is no program {program!r}, which is to be {name!r}")
    return commands


DECIDED_HERE = frozenset(
    PREFIX + name
    for name in (
        "ADDRESSES", "COMMANDS", "CONTROL", "DATA", "DEMO", "DRAIN", "HOST", "INSTANCE", "LISTEN_FD", "LOG_FILE",
        "METRICS_PORT", "PORT", "POSTGRES", "POSTGRES_POOL", "POSTGRES_USER", "REDIS", "REGISTRY", "SCALE", "TOPOLOGY",
    )
)  # fmt: skip
"""Settings of the whole system; each of its processes is told what they mean for it."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every process of a fleet is told.

    `inherited` are the supervisor's own variables. `given` are settings of services, by name, that stand
    for emulators.
    """

    inherited: Mapping[str, str] = field(repr=False)
    settings: Settings = field(repr=False)
    data: Path
    registry: str = field(repr=False)
    redis: str = field(repr=False)
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def where_services_listen(self) -> Mapping[str, str]:
        """At sockets, unless the registry is one that other machines read: then at ports of loopback."""
        return {} if self.registry.startswith("unix:") else {"HOST": LOOPBACK}

    def of(self, instance: str, control: Path, own: Mapping[str, str]) -> dict[str, str]:
        """The variables of one process; `own` are settings, by name, that it alone has."""
        kept = {name: text for name, text in self.inherited.items() if name not in DECIDED_HERE}
        variables = {
            "DATA": str(self.data),
            "REGISTRY": self.registry,
            "REDIS": self.redis,
            "INSTANCE": instance,
            "CONTROL": str(control),
            "DRAIN": f"{self.settings.drain:g}",
            "DEMO": "true" if self.settings.demo else "false",
            **self.given,
            **own,
        }
        if self.settings.metrics_port is not None:
            variables["METRICS_PORT"] = "0"  # one port cannot be everybody's; `souk ps --json` tells where each is
        return {**kept, **{PREFIX + name: text for name, text in variables.items()}}


@dataclass(frozen=True, slots=True)
class EmulatorProcess:
    """An emulator, and the path of the socket on which it is to listen."""

    emulator: Emulator
    socket: Path

    def settings(self, data: Path) -> dict[str, str]:
        """What its service is told: where it is, and what else the service needs to know of it."""
        service, folder = self.emulator.service, data / self.emulator.service
        values = {self.emulator.setting: self.emulator.url, **self.emulator.settings}
        return {
            f"{service}_{name}".upper(): text.format(socket=self.socket, folder=folder) for name, text in values.items()
        }

    @property
    def readiness(self) -> ReadinessProbe:
        """It listens."""
        return accepts(self.socket)

    def command(self, data: Path, environment: Mapping[str, str]) -> Command:
        """How it is started. What it says goes into its log and must not wait in a buffer."""
        folder = make(data / self.emulator.service)
        words = (argument.format(socket=self.socket, folder=folder) for argument in self.emulator.arguments)
        return Command((sys.executable, *words), {**environment, "PYTHONUNBUFFERED": "1"})


def needed_emulators(emulators: tuple[Emulator, ...], settings: Settings, layout: DataLayout) -> list[EmulatorProcess]:
    """Those that are needed: whose setting does not say where the real thing is."""
    needed = [one for one in emulators if one.setting not in settings.services.get(one.service, {})]
    return [EmulatorProcess(one, layout.of(one.name)) for one in needed]
