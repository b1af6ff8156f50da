"""How a process of a service is started: by `souk serve`, or by the words that were given for it.

A program that was given, in whatever language, is a process of the fleet like the others. It reads the same
variables, prints `ready NAME ADDRESS`, keeps its place in the registry, and ends on SIGTERM.
"""

import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from souk.kernel.errors import ConfigurationError
from souk.runtime.process.child_process import Command
from souk.runtime.service import Service
from souk.supervisor.capacity import require_known


@dataclass(frozen=True, slots=True)
class Commands:
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
) -> Commands:
    """The commands that were given, started where this process was.

    Raises ConfigurationError, in one line, for a service that is not there, or a program that is not.
    """
    commands, known = Commands(given, Path.cwd()), [service.name for service in services]
    for name, (program, *_) in given.items():
        require_known(name, known)
        if shutil.which(program, path=inherited.get("PATH")) is None:
            raise ConfigurationError(f"SOUK_COMMANDS: there is no program {program!r}, which is to be {name!r}")
    return commands
