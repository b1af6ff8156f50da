"""How a process of a service is started: by `souk serve`, or by a command that was given for it.

A given program, in whatever language, is a process of the fleet like the others. It reads the same variables,
prints `ready NAME ADDRESS`, keeps its registration in the registry, and ends on SIGTERM.
"""

import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from souk.admin.servicers.versions import VersionLaunch
from souk.kernel.addresses import LOOPBACK
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.settings import ProcessSettings, Settings
from souk.runtime.config.variables import PREFIX
from souk.runtime.data.directory import make
from souk.runtime.data.layout import DataLayout
from souk.runtime.process.command import Command
from souk.runtime.service import Emulator, Service
from souk.supervisor.capacity import require_known
from souk.supervisor.output.readiness import ReadinessProbe, accepts


@dataclass(frozen=True, slots=True)
class LaunchCommands:
    """The commands that were `given` for services, by name; they are started in `folder`."""

    given: Mapping[str, tuple[str, ...]]
    folder: Path

    def for_version(self, launch: VersionLaunch, inherited: Mapping[str, str]) -> "LaunchCommands":
        """Gives the commands with that of a version. Raises ConfigurationError, in one line, when it cannot be."""
        for name in launch.settings:
            if name in DECIDED_HERE or name == VERSION:
                raise ConfigurationError(f"{name} is the fleet's to set, not a version's")
        try:
            words = tuple(shlex.split(launch.run))
        except ValueError as error:
            raise ConfigurationError(f"the command of {launch.version} cannot be read: {error}") from None
        if words and shutil.which(words[0], path=inherited.get("PATH")) is None:
            raise ConfigurationError(f"there is no program {words[0]!r}, which is to be {launch.version}")
        return replace(self, given={**self.given, launch.service: words}) if words else self

    def of(self, name: str, environment: Mapping[str, str], *descriptors: int) -> Command:
        """Makes the command of a process of a service, or of the gateway."""
        if name in self.given:
            return Command(self.given[name], environment, self.folder)
        return Command((sys.executable, "-m", "souk.cli", "serve", name), environment, descriptors=descriptors)


def named_after(launch: VersionLaunch) -> str:
    """Gives the name of a version's instances, to which their number is added.

    Certificates, sockets and host names carry it, which take less than the name of a version: v2.1 is v2-1 there.
    """
    return f"{launch.service}-{re.sub('[^a-z0-9]+', '-', launch.version.lower()).strip('-')}"


def fitting(
    given: Mapping[str, tuple[str, ...]], services: Iterable[Service], inherited: Mapping[str, str]
) -> LaunchCommands:
    """Checks the given commands, which start in this process's working directory.

    Raises ConfigurationError, in one line, for an unknown service, or a program that is not found.
    """
    commands, known = LaunchCommands(given, Path.cwd()), [service.name for service in services]
    for name, (program, *_) in given.items():
        require_known(name, known)
        if shutil.which(program, path=inherited.get("PATH")) is None:
            raise ConfigurationError(f"SOUK_COMMANDS: there is no program {program!r}, which is to be {name!r}")
    return commands


def called_with_events(services: Iterable[Service], settings: Settings) -> str:
    """Gives SOUK_SUBSCRIPTIONS for a fleet: what the settings name, and what those services subscribe to that given
    commands start. These may know no broker, so they are called with their events."""
    routes = {name: dict.fromkeys(types) for name, types in settings.calls.discovery.subscriptions.items()}
    for service in services:
        for one in service.subscriptions if service.name in settings.fleet.commands else ():
            routes.setdefault(f"{service.name}/{one.consumer}", {}).update(dict.fromkeys(one.types))
    return ",".join(f"{route}={'+'.join(types)}" for route, types in routes.items())


VERSION = f"{PREFIX}VERSION"

DECIDED_HERE = frozenset(
    PREFIX + name
    for name in (
        "ADDRESSES", "BROKER", "COMMANDS", "CONTROL", "DATA", "DEMO", "DRAIN", "HOST", "INSTANCE", "LISTEN_FD",
        "ADVERTISE", "LOG_FILE", "MESH", "METRICS_PORT", "PORT", "POSTGRES", "POSTGRES_POOL", "POSTGRES_USER", "REDIS",
        "REGISTRY", "SCALE", "SEARCH", "SIDECAR", "SUBSCRIPTIONS", "TOPOLOGY",
    )
)  # fmt: skip
"""Settings of the whole system, which its processes do not inherit: each gets its own values of them."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The environment variables of a fleet's processes.

    `inherited` are the supervisor's own variables. `given` are the settings of services, by name, that emulators
    need.
    """

    inherited: Mapping[str, str] = field(repr=False)
    process: ProcessSettings
    demo: bool
    data: Path
    registry: str = field(repr=False)
    redis: str = field(repr=False)
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def where_services_listen(self) -> Mapping[str, str]:
        """The settings for where services listen: at sockets, or at ports of loopback if other machines read the
        registry."""
        return {} if self.registry.startswith("unix:") else {"HOST": LOOPBACK}

    def of(self, instance: str, control: Path, own: Mapping[str, str]) -> dict[str, str]:
        """Gives the variables of one process; `own` are settings, by name, that only this process gets."""
        kept = {name: text for name, text in self.inherited.items() if name not in DECIDED_HERE}
        variables = {
            "DATA": str(self.data),
            "REGISTRY": self.registry,
            "REDIS": self.redis,
            "INSTANCE": instance,
            "CONTROL": str(control),
            "DRAIN": f"{self.process.drain:g}",
            "DEMO": "true" if self.demo else "false",
            **self.given,
            **own,
        }
        if self.process.metrics_port is not None:
            variables["METRICS_PORT"] = "0"  # processes cannot share a port; `souk ps --json` shows that of each
        return {**kept, **{PREFIX + name: text for name, text in variables.items()}}


@dataclass(frozen=True, slots=True)
class EmulatorProcess:
    """An emulator, and the path of the socket on which it must listen."""

    emulator: Emulator
    socket: Path

    def settings(self, data: Path) -> dict[str, str]:
        """Gives the settings of its service: the emulator's URL, and the other settings that it comes with."""
        service, folder = self.emulator.service, data / self.emulator.service
        values = {self.emulator.setting: self.emulator.url, **self.emulator.settings}
        return {
            f"{service}_{name}".upper(): text.format(socket=self.socket, folder=folder) for name, text in values.items()
        }

    @property
    def readiness(self) -> ReadinessProbe:
        """Probes whether it listens on its socket."""
        return accepts(self.socket)

    def command(self, data: Path, environment: Mapping[str, str]) -> Command:
        """Makes the command that starts it. Its output must not wait in a buffer before it reaches the log."""
        folder = make(data / self.emulator.service)
        words = (argument.format(socket=self.socket, folder=folder) for argument in self.emulator.arguments)
        return Command((sys.executable, *words), {**environment, "PYTHONUNBUFFERED": "1"})


def needed_emulators(
    emulators: tuple[Emulator, ...], given: Mapping[str, Mapping[str, str]], layout: DataLayout
) -> list[EmulatorProcess]:
    """Gives the emulators that are needed: those whose setting does not name the real system in the `given` ones."""
    needed = [one for one in emulators if one.setting not in given.get(one.service, {})]
    return [EmulatorProcess(one, layout.of(one.name)) for one in needed]
